"""The endpoint `GET /models/<use case>/history`: the champions of a use case, and why each was promoted."""

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
DEFAULT_ENTRIES = "20"
QUERY_TIMEOUT = "2s"


class _InvalidParameter(Exception):
    """A query parameter is not valid; the message names it and the accepted form."""


def history_routes(engine: Engine) -> list[Route]:
    """Return the route of the endpoint, which reads the ledger in the database of `engine`."""

    async def history(request: Request) -> Response:
        use_case = request.path_params["use_case"]
        try:
            content = await run_in_threadpool(_read_history, engine, use_case, request.query_params)
        except _InvalidParameter as error:
            return JSONResponse({"error_code": "INVALID_PARAMETER_VALUE", "message": str(error)}, 400)
        except OperationalError:
            message = "The ledger cannot be read now; try again."
            return JSONResponse({"error_code": "TEMPORARILY_UNAVAILABLE", "message": message}, 503)
        if content is None:
            message = f"{use_case} had no champion at that time."
            return JSONResponse({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": message}, 404)
        return JSONResponse({"name": use_case} | content)

    return [Route("/models/{use_case}/history", history)]


def _read_history(engine: Engine, use_case: str, parameters: Mapping[str, str]) -> dict[str, Any] | None:
    at = _parse_at(parameters.get("at"))
    limit = _parse_limit(parameters.get("limit", DEFAULT_ENTRIES))
    with engine.connect() as connection:
        connection.execute(text(f"SET LOCAL statement_timeout = '{QUERY_TIMEOUT}'"))
        if at is None:
            return {"champions": champions(connection, use_case, limit=limit)}
        record = champion_record(connection, use_case, at)
        return None if record is None else {"at": at.isoformat(), "champion": record.as_json()}


def _parse_at(value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        # In a URL + stands for a space.
        at = datetime.fromisoformat(value.replace(" ", "+"))
    except ValueError as error:
        raise _InvalidParameter(f"at={value}: give a time such as 2026-05-03T12:00:00Z.") from error
    if at.tzinfo is None:
        raise _InvalidParameter(f"at={value} has no time zone; write 2026-05-03T12:00:00Z.")
    return at


def _parse_limit(value: str) -> int:
    if not value.isascii() or not value.isdecimal() or not 1 <= int(value) <= MAX_ENTRIES:
        raise _InvalidParameter(f"limit={value}: give 1 to {MAX_ENTRIES}.")
    return int(value)
