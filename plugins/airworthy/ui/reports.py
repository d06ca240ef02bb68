"""Reports of the lake (data docs, drift, profiles), for users logged in to Airflow."""

from __future__ import annotations

from fastapi import APIRouter, Depends, HTTPException, Response

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.core_api.security import requires_access_view

from airworthy.hooks.lake import LakeHook
from include.errors import DataError
from include.storage.reports import read_report

# Reports contain data from outside: the browser must not let them send requests or read cookies.
HEADERS = {
    "Content-Security-Policy": "sandbox allow-scripts; default-src 'none'; img-src data:; font-src data:; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline' 'unsafe-eval' blob:; worker-src blob:",
    "X-Content-Type-Options": "nosniff",
}

router = APIRouter(dependencies=[Depends(requires_access_view(AccessView.WEBSITE))], include_in_schema=False)


@router.get("/reports/{path:path}")
def report(path: str) -> Response:
    """Return a page of the lake's reports."""
    hook = LakeHook()
    try:
        content = read_report(hook.uri, hook.storage_options, path)
    except DataError as error:
        raise HTTPException(404, str(error)) from error
    return Response(content, media_type="text/html", headers=HEADERS)
