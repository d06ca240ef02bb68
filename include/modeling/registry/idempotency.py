"""Creation of MLflow objects exactly once, although creates are not idempotent and responses get lost."""

from __future__ import annotations

import time
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

import requests
from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request, verify_rest_response
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from include.errors import ServiceUnavailable, SettingsError
from include.modeling.registry.request_headers import register_header_plugins

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Created = TypeVar("Created")
# The server may have executed the request nevertheless.
AMBIGUOUS_CODES = frozenset(
    {"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "DEADLINE_EXCEEDED", "REQUEST_LIMIT_EXCEEDED", "CANCELLED"}
)
# The server refuses the same request every time.
PERMANENT_CODES = frozenset({"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "BAD_REQUEST"})
SETTLE_TIMEOUT_S = 5.0
SETTLE_INTERVAL_S = 0.1
REQUEST_TIMEOUT_S = 30

register_header_plugins()


def get_or_create(find: Callable[[], Created | None], create: Callable[[], object], subject: str) -> Created:
    """
    Return the object that `find` returns; call `create` once if there is none.

    A create is never repeated: if its response is lost, the server may have executed it, so that the object
    is searched for instead.

    Parameters
    ----------
    find
        Returns the object, or None if it does not exist.
    create
        Creates the object.
    subject
        What is created, for the message.

    Raises
    ------
    ServiceUnavailable
        If the object is not found within `SETTLE_TIMEOUT_S` after the create; the next attempt searches
        again.
    """
    existing = find()
    if existing is not None:
        return existing
    ambiguous: MlflowException | None = None
    try:
        create()
    except MlflowException as error:
        if not is_ambiguous(error):
            raise
        ambiguous = error
    created = _poll(find)
    if created is None:
        raise ServiceUnavailable(f"MLflow did not confirm {subject}: {ambiguous}. Try again.") from ambiguous
    return created


def _poll(find: Callable[[], Created | None]) -> Created | None:
    """Call `find` until it returns an object; return None after `SETTLE_TIMEOUT_S`."""
    polling = Retrying(
        retry=retry_if_result(lambda result: result is None),
        stop=stop_after_delay(SETTLE_TIMEOUT_S),
        wait=wait_fixed(SETTLE_INTERVAL_S),
        retry_error_callback=lambda state: None,
    )
    return polling(find)


def post(uri: str, endpoint: str, body: dict[str, Any]) -> dict[str, Any]:
    """Send one create request to MLflow's REST API, and never repeat it as MLflow's client would."""
    path = f"/api/2.0/mlflow/{endpoint}"
    response = http_request(
        get_default_host_creds(uri),
        path,
        "POST",
        max_retries=0,
        raise_on_status=False,
        timeout=REQUEST_TIMEOUT_S,
        json=body,
    )
    content: dict[str, Any] = verify_rest_response(response, path).json()
    return content


def post_run(uri: str, experiment_id: str, name: str, tags: Mapping[str, str]) -> str:
    """Create a run by one request that is not repeated; return its id."""
    body = {
        "experiment_id": experiment_id,
        "run_name": name,
        "start_time": int(time.time() * 1000),
        "tags": [{"key": tag, "value": value} for tag, value in tags.items()],
    }
    return str(post(uri, "runs/create", body)["run"]["info"]["run_id"])


def is_ambiguous(error: MlflowException) -> bool:
    """Return whether the server may have executed the request in spite of the error."""
    return error.error_code in AMBIGUOUS_CODES


@contextmanager
def permanent_errors(subject: str) -> Iterator[None]:
    """
    Translate errors of requests that MLflow refuses every time, so that they are not retried.

    Raises
    ------
    SettingsError
        If MLflow refuses the request.
    """
    try:
        yield
    except MlflowException as error:
        if error.error_code not in PERMANENT_CODES:
            raise
        raise SettingsError(f"MLflow refuses {subject}: {error}. Correct the request.") from error


@contextmanager
def translate_mlflow_errors(uri: str) -> Iterator[None]:
    """
    Translate errors of an unavailable MLflow or artifact store.

    Raises
    ------
    ServiceUnavailable
        If MLflow did not respond, or failed with an error that a retry may not meet.
    """
    try:
        yield
    except MlflowException as error:
        if not is_ambiguous(error):
            raise
        raise _unavailable(uri, error) from error
    # The client raises these for requests to the artifact store.
    except requests.RequestException as error:
        if error.response is not None and error.response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
        raise _unavailable(uri, error) from error


def _unavailable(uri: str, error: Exception) -> ServiceUnavailable:
    return ServiceUnavailable(
        f"MLflow at {uri} did not complete the request: {error}. Check its log; try again."
    )
