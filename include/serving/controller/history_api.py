"""`GET /models/<use case>/history`: who was champion, and why, told to whoever may ask the gateway."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from include.release.champion_history import champion_record, champions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Engine
    from starlette.requests import Request

MAX_ENTRIES = 200
QUERY_TIMEOUT = "2s"


class _Refused(Exception):
    """A question that makes no sense; the message says why."""


def routes(engine: Engine) -> list[Route]:
    """Return the route, which reads the ledger of the database behind `engine`."""

    async def history(request: Request) -> Response:
        use_case = request.path_params["use_case"]
        try:
            content = await run_in_threadpool(_answer, engine, use_case, request.query_params)
        except _Refused as error:
            return JSONResponse({"error_code": "INVALID_PARAMETER_VALUE", "message": str(error)}, 400)
        except OperationalError:
            message = "The ledger cannot be read now; try again."
            return JSONResponse({"error_code": "TEMPORARILY_UNAVAILABLE", "message": message}, 503)
        if content is None:
            message = f"{use_case} had no champion then."
            return JSONResponse({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": message}, 404)
        return JSONResponse({"name": use_case} | content)

    return [Route("/models/{use_case}/history", history)]


def _answer(engine: Engine, use_case: str, asked: Mapping[str, str]) -> dict[str, Any] | None:
    at, limit = _moment(asked.get("at")), _limit(asked.get("limit", "20"))
    with engine.connect() as connection:
        connection.execute(text(f"SET LOCAL statement_timeout = '{QUERY_TIMEOUT}'"))
        if at is None:
            return {"champions": champions(connection, use_case, limit=limit)}
        found = champion_record(connection, use_case, at)
        return None if found is None else {"at": at.isoformat(), "champion": found.as_json()}


def _moment(value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value.replace(" ", "+"))  # an address turns + into a space
    except ValueError as error:
        raise _Refused(f"at={value}: give a moment such as 2026-05-03T12:00:00Z.") from error
    if moment.tzinfo is None:
        raise _Refused(f"at={value} has no time zone; write 2026-05-03T12:00:00Z.")
    return moment


def _limit(value: str) -> int:
    if not value.isascii() or not value.isdecimal() or not 1 <= int(value) <= MAX_ENTRIES:
        raise _Refused(f"limit={value}: give 1 to {MAX_ENTRIES}.")
    return int(value)
