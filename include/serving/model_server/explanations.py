"""The endpoint that explains predictions: one request at a time, in a process beside the model server."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from include.errors import DataError
from include.inference.scoring_protocol import BadRequest
from include.serving import paths
from include.serving.model_server.logged_requests import (
    MAX_EXPLAINED_ROWS,
    read_request,
    require_logged_features,
)
from include.settings import settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Coroutine

    from include.inference.scoring_protocol import Rows

COMMAND = (sys.executable, "-m", "include.serving.model_server.explainer")
# Less than the gateway waits for a response.
TIMEOUT_S = 8.0
# The first explanation of a version also loads and compiles. A process that needs more than this is ended.
MAX_COMPUTING_S = 120.0
# Its priority is low: on a busy machine the import alone takes minutes.
MAX_STARTING_S = 300.0
MAX_RESPONSE_BYTES = 16 * 1024**2
NOT_FOUND = 404
CONFLICT = 409
TOO_LARGE = 413
TOO_MANY = 429
UNAVAILABLE = 503


class Explanations:
    """
    Explains predictions of a use case, one request at a time.

    Parameters
    ----------
    use_case, version
        The version that this server serves. A request that another version answered is explained by that
        one while its files are on this machine.
    parse_rows
        Returns the checked rows of a body and its Content-Type.
    hidden
        Features whose values are not in the inference log, since they are personal.
    """

    def __init__(
        self,
        use_case: str,
        version: int,
        parse_rows: Callable[[bytes, str], Awaitable[Rows]],
        *,
        hidden: Collection[str] = (),
    ) -> None:
        self.use_case = use_case
        self.version = version
        self._parse_rows = parse_rows
        self._hidden = hidden
        self._is_busy = False
        self._process: asyncio.subprocess.Process | None = None
        # The first line of the process, which it writes once it can explain.
        self._ready: asyncio.Task[bytes] | None = None
        # The exchange with the process; a later request discards an answer that came late.
        self._exchange: asyncio.Task[bytes] | None = None

    async def explain(self, body: bytes, content_type: str) -> dict[str, Any]:
        """
        Return the response to a request: rows to explain, or the id of an answered request.

        Raises
        ------
        BadRequest
            If the request is invalid (400, 404, 409, 413), another one is being explained (429), or it cannot
            be explained in time (503).
        """
        if self._is_busy:
            raise BadRequest(
                f"Another prediction of {self.use_case} is being explained. Try again in a moment.", TOO_MANY
            )
        self._is_busy = True
        try:
            version, rows = await self._rows(body, content_type)
            content = await self._respond(version, rows)
        finally:
            self._is_busy = False
        if "error" in content:
            raise BadRequest(f"{self.use_case} version {version}: {content['error']}", content["status"])
        return content | {"model": {"name": self.use_case, "version": version}}

    async def close(self) -> None:
        """End the process, if it runs."""
        process = self._process
        self._process = None
        for task in (self._ready, self._exchange):
            if task is not None:
                task.cancel()
        self._exchange = None
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()

    async def _rows(self, body: bytes, content_type: str) -> tuple[int, list[dict[str, Any]]]:
        request_id = _request_id(body)
        if request_id is not None:
            return await run_in_threadpool(self._logged_rows, request_id)
        rows = await self._parse_rows(body, content_type)
        if rows.count > MAX_EXPLAINED_ROWS:
            raise BadRequest(
                f"There are {rows.count} rows; at most {MAX_EXPLAINED_ROWS} are explained at once.", TOO_LARGE
            )
        return self.version, rows.records()

    def _logged_rows(self, request_id: str) -> tuple[int, list[dict[str, Any]]]:
        timeouts = {"connect_timeout": 3, "options": "-c statement_timeout=3000"}
        engine = create_engine(settings().database_url, hide_parameters=True, connect_args=timeouts)
        try:
            with engine.connect() as connection:
                version, rows = read_request(connection, self.use_case, request_id)
            require_logged_features(self.use_case, self._hidden)
        except DataError as error:
            raise BadRequest(str(error), NOT_FOUND) from error
        except SQLAlchemyError as error:
            raise BadRequest("The inference log cannot be read now; try again.", UNAVAILABLE) from error
        finally:
            engine.dispose()
        if not paths.model_folder(self.use_case, version).exists():
            raise BadRequest(
                f"Version {version} answered the request {request_id}, and its files are not on this machine "
                f"any more. Use `airworthy explain {self.use_case} --request {request_id}`.",
                CONFLICT,
            )
        return version, rows

    async def _respond(self, version: int, rows: list[dict[str, Any]]) -> dict[str, Any]:
        folder = str(paths.model_folder(self.use_case, version))
        line = json.dumps({"use_case": self.use_case, "folder": folder, "rows": rows}).encode() + b"\n"
        try:
            async with asyncio.timeout(TIMEOUT_S):
                # An idle process ends, perhaps just now.
                answer = await self._ask(line) or await self._ask(line)
        except TimeoutError as error:
            raise BadRequest(self._explain_lateness(), UNAVAILABLE) from error
        if not answer:
            raise BadRequest("The process that explains ended; the server's log says why.", UNAVAILABLE)
        response: dict[str, Any] = json.loads(answer)
        return response

    def _explain_lateness(self) -> str:
        if self._exchange is None or self._exchange.done():
            return "The process that explains is starting. Try again in a few seconds."
        return f"The explanation took more than {TIMEOUT_S:g} s. Send fewer rows, or try again."

    async def _ask(self, line: bytes) -> bytes:
        """Return the response of the process, which is started if it does not run; b"" if it ended."""
        process = self._process
        if process is None or process.returncode is not None:
            process = await asyncio.create_subprocess_exec(
                *COMMAND,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=MAX_RESPONSE_BYTES,
            )
            self._process = process
            self._exchange = None
            self._ready = _read_in_time(_read_line(process), process, MAX_STARTING_S)
        first_line = b"" if self._ready is None else await asyncio.shield(self._ready)
        answer = await self._ask_ready(process, line) if first_line else b""
        if not answer:
            await self.close()
        return answer

    async def _ask_ready(self, process: asyncio.subprocess.Process, line: bytes) -> bytes:
        """Return the response to the line, after that to an earlier request, which nobody awaits any more."""
        if self._exchange is not None and not await asyncio.shield(self._exchange):
            return b""
        self._exchange = _read_in_time(_exchange_lines(process, line), process, MAX_COMPUTING_S)
        answer = await asyncio.shield(self._exchange)
        self._exchange = None
        return answer


def _read_in_time(
    reading: Coroutine[Any, Any, bytes], process: asyncio.subprocess.Process, seconds: float
) -> asyncio.Task[bytes]:
    """Return the task that reads; the process is killed if it takes longer."""
    task = asyncio.create_task(reading)
    deadline = asyncio.get_running_loop().call_later(seconds, _end_if_running, process)
    task.add_done_callback(lambda _: deadline.cancel())
    return task


def _end_if_running(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()


async def _exchange_lines(process: asyncio.subprocess.Process, line: bytes) -> bytes:
    """Send a line and return the line that answers it; b"" if the process ended."""
    if process.stdin is None:
        return b""
    try:
        process.stdin.write(line)
        await process.stdin.drain()
        return await _read_line(process)
    except (BrokenPipeError, ConnectionResetError):
        return b""


async def _read_line(process: asyncio.subprocess.Process) -> bytes:
    if process.stdout is None:
        return b""
    try:
        return await process.stdout.readline()
    # The line is longer than `MAX_RESPONSE_BYTES`; its rest must not be taken for the next answer.
    except ValueError:
        return b""


def _request_id(body: bytes) -> str | None:
    """Return the id of the request to explain; None if the body has rows."""
    # A body with rows is parsed once, by the scoring protocol.
    if b'"request_id"' not in body[:100]:
        return None
    try:
        content = json.loads(body)
    except ValueError:
        return None
    if not isinstance(content, dict) or content.keys() != {"request_id"}:
        return None
    request_id = content["request_id"]
    if not isinstance(request_id, str):
        raise BadRequest("request_id must be the X-Request-Id of an answer, as text.")
    return request_id
