"""`python -m include.serving.model_server.app`: answer for one version of one model."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import uvicorn
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from include.errors import AirworthyError
from include.inference.model import load_model
from include.inference.scoring_protocol import (
    MAX_BYTES,
    BadRequest,
    InvalidPrediction,
    Rows,
    frame,
    parse_request,
)
from include.serving import paths
from include.serving.model_server import metrics, online_features
from include.serving.model_server.batching import Batcher
from include.serving.model_server.inference_log import InferenceLog, Record
from include.serving.model_server.shadow import MirroredRequest, Shadow
from include.serving.model_server.single_write import SingleWriteProtocol
from include.settings import LOOPBACK, settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from include.inference.model import ServedModel
    from include.inference.scoring_protocol import Predictions
    from include.serving.model_server.inference_log import Role
    from include.serving.model_server.online_features import OnlineFeatures

LARGE = 64 * 1024  # bytes; such a body is read in a thread, so that the others do not wait
AWAY = 503  # what a request needs besides the model
CODES = {404: "RESOURCE_DOES_NOT_EXIST", AWAY: "TEMPORARILY_UNAVAILABLE"}
CANNOT_SERVE = 3  # exit code: this version will not load, however often it is tried


@dataclass(frozen=True, slots=True)
class Answer:
    """What a caller gets, and what is kept of it."""

    status: int
    content: dict[str, Any]
    rows: Rows | None = None
    predictions: Predictions | None = None


class ModelServer:
    """One version, with everything around it that a request needs."""

    def __init__(
        self, use_case: str, version: int, model: ServedModel, features: OnlineFeatures | None = None
    ) -> None:
        self.use_case = use_case
        self.version = version
        self.model = model
        self.features = features
        self.batcher = Batcher(model, observe=metrics.BATCH_ROWS.observe)
        self.shadow = Shadow(paths.shadow_file(use_case), version, dropped=metrics.SHADOW_DROPPED.inc)
        self.log = InferenceLog(settings().database_url, paths.spool_folder())

    def app(self) -> Starlette:
        """Return the ASGI application."""
        routes = [
            Route("/invocations", self.invocations, methods=["POST"]),
            Route(f"/models/{self.use_case}/invocations", self.invocations, methods=["POST"]),
            Route("/readyz", self.ready),
            Route("/ping", self.ready),
            Route("/metrics", self.metrics),
        ]
        return Starlette(routes=routes, lifespan=self._lifespan)

    async def invocations(self, request: Request) -> Response:
        """Answer one request, keep it, and copy it to the challenger if asked to."""
        received, began = datetime.now(UTC), time.perf_counter()
        request_id = request.headers.get("x-request-id") or str(uuid.uuid4())
        role = self._role(request)
        try:
            body = await _body(request)
            answer = await self._answer(body, request.headers.get("content-type", ""))
        except BadRequest as error:
            body, answer = b"", _failure(error.status, "BAD_REQUEST", str(error))
        except ClientDisconnect:
            return Response(status_code=499)
        seconds = time.perf_counter() - began
        # Whoever comes past the gateway is no caller, but a test; and what is away is no challenger's fault.
        if role == "champion" or (role and answer.status != AWAY):
            self.log.record(
                Record(
                    use_case=self.use_case,
                    request_id=request_id,
                    version=self.version,
                    role=role,
                    entity_id=request.headers.get("x-entity-id") or _only_key(answer.rows),
                    received_at=received,
                    latency_ms=seconds * 1000,
                    status=answer.status,
                    inputs=answer.rows.records() if answer.rows else None,
                    predictions=answer.predictions,
                )
            )
        metrics.REQUESTS.labels(role or "direct", str(answer.status)).inc()
        metrics.SECONDS.labels(role or "direct").observe(seconds)
        content = answer.content | {"request_id": request_id}
        # What a challenger refuses the champion might take: 425 makes the gateway ask the champion.
        refused = 400 <= answer.status < 500 or answer.status == AWAY
        status = 425 if role == "challenger" and refused else answer.status
        return JSONResponse(
            content,
            status,
            {"X-Request-Id": request_id},
            background=self._copy(role, request, body, request_id),
        )

    async def ready(self, _: Request) -> Response:
        """Say which version answers here."""
        return JSONResponse({"name": self.use_case, "version": self.version})

    async def metrics(self, _: Request) -> Response:
        """Return the counters of this process."""
        return Response(metrics.exposition(), media_type="text/plain; version=0.0.4")

    async def _answer(self, body: bytes, content_type: str) -> Answer:
        key = self.features.key if self.features else None
        try:
            if len(body) > LARGE:
                rows = await run_in_threadpool(parse_request, body, content_type, self.model.columns, key)
            else:
                rows = parse_request(body, content_type, self.model.columns, key)
            if self.features:
                rows = await self.features.complete(rows, self.model.columns)
        except BadRequest as error:
            return _failure(error.status, CODES.get(error.status, "BAD_REQUEST"), str(error))
        try:
            predictions = await self.batcher.predict(rows)
        except InvalidPrediction as error:
            return _failure(500, "INTERNAL_ERROR", f"{self.use_case} version {self.version}: {error}", rows)
        model: dict[str, Any] = {"name": self.use_case, "version": self.version}
        if self.model.classes:
            model["classes"] = list(self.model.classes)
        return Answer(200, {"predictions": predictions, "model": model}, rows, predictions)

    def _role(self, request: Request) -> Role | None:
        route = request.headers.get("x-airworthy-route", "")
        if route.startswith("challenger="):
            return "challenger" if route == f"challenger={self.version}" else "champion"
        return cast("Role", route) if route in {"champion", "shadow"} else None

    def _copy(
        self, role: Role | None, request: Request, body: bytes, request_id: str
    ) -> BackgroundTask | None:
        fresh = request.headers.get("x-airworthy-route") == "champion"  # the challenger has not seen it
        if role != "champion" or not fresh or not body or not self.shadow.wants(request_id):
            return None
        kept = {"content-type", "x-entity-id"} & set(request.headers)
        headers = {name: request.headers[name] for name in kept} | {"x-request-id": request_id}
        return BackgroundTask(_send, self.shadow, MirroredRequest(body, headers))

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        yield
        if self.features:
            await self.features.close()
        await run_in_threadpool(self.log.close)


async def _send(shadow: Shadow, copy: MirroredRequest) -> None:
    shadow.send(copy)


async def _body(request: Request) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BYTES:
            raise BadRequest(f"The body has more than {MAX_BYTES} bytes. Send fewer rows at once.", 413)
        parts.append(part)
    return b"".join(parts)


def _failure(status: int, code: str, message: str, rows: Rows | None = None) -> Answer:
    return Answer(status, {"error_code": code, "message": message}, rows)


def _only_key(rows: Rows | None) -> str | None:
    return str(rows.keys[0]) if rows and rows.keys and rows.count == 1 else None


def warm_up(model: ServedModel) -> None:
    """Call the model once, so that the first caller does not wait for what loads lazily."""
    values: dict[str, Any] = {"string": "", "boolean": False, "datetime": "2000-01-01"}
    rows = Rows({name: [values.get(kind, 0)] for name, kind in model.columns.items()}, 1)
    try:
        model.predict(frame([rows], model.columns))
    except Exception as error:  # noqa: BLE001  somebody's model, on values it may never have seen
        logging.getLogger(__name__).info("the warm-up failed: %s", error)


def main(arguments: list[str] | None = None) -> int:
    """Load the version and serve it until SIGTERM; return 3 if it cannot be served."""
    parser = argparse.ArgumentParser(prog="python -m include.serving.model_server.app", description=__doc__)
    parser.add_argument("--use-case", required=True)
    parser.add_argument("--version", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        model = load_model(given.folder, settings().trusted_keys, use_case=given.use_case)
    except AirworthyError as error:
        sys.stderr.write(json.dumps({"error": str(error)}) + "\n")
        return CANNOT_SERVE
    warm_up(model)
    app = ModelServer(
        given.use_case, given.version, model, online_features.online_features_of(given.use_case)
    ).app()
    everywhere = "0.0.0.0"  # noqa: S104  so that the workers of other machines can test it
    host = LOOPBACK if settings().model_server_host == LOOPBACK else everywhere
    uvicorn.run(
        app, host=host, port=given.port, access_log=False, log_level="warning",
        timeout_keep_alive=75, timeout_graceful_shutdown=10, lifespan="on", http=SingleWriteProtocol,
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
