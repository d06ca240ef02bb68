"""Responses of a model server: statuses, headers and bodies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from include.inference.predictions import Predictions
    from include.inference.scoring_protocol import Rows
    from include.serving.model_server.request_log.request_record import Role

OK = 200
# Something that the request needs besides the model cannot be reached.
UNAVAILABLE = 503
# Makes the gateway send a challenger's request to the champion.
TOO_EARLY = 425
ERROR_CODES = {
    404: "RESOURCE_DOES_NOT_EXIST", 429: "TOO_MANY_REQUESTS", 500: "INTERNAL_ERROR",
    UNAVAILABLE: "TEMPORARILY_UNAVAILABLE", 504: "GATEWAY_TIMEOUT",
}  # fmt: skip
# After these the caller should try again.
BUSY_STATUSES = (429, UNAVAILABLE, 504)
FAILED = "{} version {} failed. The log of its server says why, by the id of this request."


@dataclass(frozen=True, slots=True)
class Answer:
    """The response to a caller, and what of the request goes to the inference log."""

    status: int
    content: dict[str, Any]
    rows: Rows | None = None
    predictions: Predictions | None = None


class JsonResponse(JSONResponse):
    """A response in JSON, written by a faster library."""

    def render(self, content: Any) -> bytes:
        """Return the body."""
        return msgspec.json.encode(content)


def http_status(status: int, role: Role | None) -> int:
    """Return the status to send; 425 for a challenger's refusal, which the champion might not share."""
    refused = 400 <= status < 500 or status == UNAVAILABLE
    return TOO_EARLY if role == "challenger" and refused else status


def response_headers(request_id: str, rows: Rows | None, status: int) -> dict[str, str]:
    """Return the headers of a response: the request's id, the age in seconds of looked-up features."""
    headers = {"X-Request-Id": request_id}
    if status in BUSY_STATUSES:
        headers["Retry-After"] = "1"
    if rows is not None and rows.feature_age_s is not None:
        headers["X-Feature-Age"] = f"{rows.feature_age_s:.0f}"
    return headers


def refusal(status: int, message: str, rows: Rows | None = None) -> Answer:
    """Return the answer to a request that gets no predictions."""
    code = ERROR_CODES.get(status, "BAD_REQUEST")
    return Answer(status, {"error_code": code, "message": message}, rows)
