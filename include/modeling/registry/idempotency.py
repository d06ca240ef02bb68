"""Make something exactly once at a server whose creates are not idempotent and whose answers may be lost."""

from __future__ import annotations

import time
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

import requests
from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request, verify_rest_response

from include.errors import ServiceUnavailable, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


Thing = TypeVar("Thing")
UNCERTAIN = frozenset(
    {"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "DEADLINE_EXCEEDED", "REQUEST_LIMIT_EXCEEDED", "CANCELLED"}
)
NEVER = frozenset({"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "BAD_REQUEST"})
SETTLE_SECONDS = 5.0
TIMEOUT_SECONDS = 30


def get_or_create(find: Callable[[], Thing | None], create: Callable[[], object], what: str) -> Thing:
    """
    Return what `find` finds, after `create` where it finds nothing; `create` is never repeated.

    When the answer of `create` is lost, the server may still have done it: it is looked for instead.

    :raises ServiceUnavailable: if it cannot be found after a lost answer; the next attempt looks again
    """
    found = find()
    if found is not None:
        return found
    try:
        create()
    except MlflowException as error:
        if not is_ambiguous(error):
            raise
        lost: MlflowException | None = error
    else:
        lost = None
    settled = time.monotonic() + SETTLE_SECONDS
    while (found := find()) is None:
        if time.monotonic() > settled:
            raise ServiceUnavailable(f"MLflow did not confirm {what}: {lost}. Try again.") from lost
        time.sleep(0.1)
    return found


def post(uri: str, endpoint: str, body: dict[str, Any]) -> dict[str, Any]:
    """Send one create to MLflow's REST API; unlike the client it never sends it again."""
    path = f"/api/2.0/mlflow/{endpoint}"
    response = http_request(
        get_default_host_creds(uri),
        path,
        "POST",
        max_retries=0,
        raise_on_status=False,
        timeout=TIMEOUT_SECONDS,
        json=body,
    )
    answer: dict[str, Any] = verify_rest_response(response, path).json()
    return answer


def is_ambiguous(error: MlflowException) -> bool:
    """Return whether the server may have done what was asked, though it did not say so."""
    return error.error_code in UNCERTAIN


@contextmanager
def permanent_errors(what: str) -> Iterator[None]:
    """Turn what MLflow will never do, however often it is asked, into an error that is not retried."""
    try:
        yield
    except MlflowException as error:
        if error.error_code not in NEVER:
            raise
        raise SettingsError(f"MLflow refuses {what}: {error}. Correct what is asked.") from error


@contextmanager
def translate_mlflow_errors(uri: str) -> Iterator[None]:
    """Turn MLflow being away into the error that is retried."""
    try:
        yield
    except MlflowException as error:
        if not is_ambiguous(error):
            raise
        raise _away(uri, error) from error
    except requests.RequestException as error:  # of its artifacts
        if error.response is not None and error.response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
        raise _away(uri, error) from error


def _away(uri: str, error: Exception) -> ServiceUnavailable:
    return ServiceUnavailable(f"MLflow at {uri} did not do it: {error}. See its log; try again.")
