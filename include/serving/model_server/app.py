"""The HTTP application of a model server, which serves one version of one model."""

from __future__ import annotations

import json
import logging
import sys
import time
import uuid
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from include.catalog import catalog
from include.certificates.certificate import verify_certificate
from include.declarations import Serving, Slo
from include.errors import AirworthyError, DeclarationError
from include.feature_values import base_kind
from include.inference.model import load_verified, read_interface
from include.inference.openapi import openapi_document
from include.inference.predictions import InvalidPrediction
from include.inference.requests.request_body import BadRequest, read_body
from include.inference.requests.request_keys import NO_KEYS
from include.inference.scoring_protocol import Rows, frame, parse_request
from include.inference.start_check import check_packages, check_predictions, with_checked_twin
from include.serving import paths
from include.serving.gateway.secret import GatewayOnly
from include.serving.model_server import metrics
from include.serving.model_server.batching import Batcher
from include.serving.model_server.explanations import Explanations
from include.serving.model_server.logged_values import logged_values_of
from include.serving.model_server.online_features import online_features_of
from include.serving.model_server.request_log.access_lines import AccessLines
from include.serving.model_server.request_log.inference_log import InferenceLog
from include.serving.model_server.request_log.request_record import Record, unanswered_copy
from include.serving.model_server.responses import (
    FAILED,
    OK,
    UNAVAILABLE,
    Answer,
    JsonResponse,
    http_status,
    refusal,
    response_headers,
)
from include.serving.model_server.shadow import MirroredRequest, Shadow
from include.serving.model_server.single_write import SingleWriteProtocol
from include.serving.model_server.trace_headers import TRACE_HEADERS, begin_request, ids_of
from include.settings import LOOPBACK, settings
from include.specifications import certified_specification

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from starlette.requests import Request

    from include.certificates.certificate import Certificate
    from include.declarations.specification import Specification
    from include.inference.model import ServedModel
    from include.inference.requests.request_keys import Keys
    from include.serving.model_server.online_features import OnlineFeatures
    from include.serving.model_server.request_log.request_record import Role

# A larger body is parsed in a thread, so that other requests do not wait.
LARGE_BODY_BYTES = 64 * 1024
DEFAULT_SLO = Slo()
_log = logging.getLogger(__name__)
# Exit code of a process whose version cannot be served; a restart does not help.
CANNOT_SERVE = 3


class ModelServer:
    """One version of a model with its batcher, online features, shadow and inference log."""

    def __init__(
        self,
        use_case: str,
        version: int,
        model: ServedModel,
        features: OnlineFeatures | None = None,
        *,
        slo: Slo = DEFAULT_SLO,
        replica: int = 1,
    ) -> None:
        self.use_case = use_case
        self.version = version
        self.model = model
        self.features = features
        self.batcher = Batcher(model, deadline_s=slo.deadline_s, observe=metrics.BATCH_ROWS.observe)
        self.shadow = Shadow(
            paths.shadow_file(use_case),
            version,
            replica=replica,
            dropped=metrics.SHADOW_DROPPED.inc,
            failed=self._log_failed_copy,
        )
        logged = logged_values_of(features.selection if features else None)
        lines = AccessLines(paths.access_lines_file(use_case, version, replica))
        self.log = InferenceLog(settings().database_url, paths.spool_folder(), logged, lines)
        hidden = (logged.pseudonyms | logged.dropped) & set(model.features)
        self.explanations = Explanations(use_case, version, self._parse_rows, hidden=hidden)

    def app(self) -> Starlette:
        """Return the ASGI application."""
        routes = [
            Route("/invocations", self.invocations, methods=["POST"]),
            Route(f"/models/{self.use_case}/invocations", self.invocations, methods=["POST"]),
            Route(f"/models/{self.use_case}/explanations", self.explain, methods=["POST"]),
            Route(f"/models/{self.use_case}/openapi.json", self.openapi),
            Route("/readyz", self.ready),
            Route("/ping", self.ready),
            Route("/metrics", self.metrics),
        ]
        secret = settings().gateway_secret
        protection = [Middleware(GatewayOnly, secret=secret)] if secret else []
        return Starlette(routes=routes, lifespan=self._lifespan, middleware=protection)

    async def invocations(self, request: Request) -> Response:
        """Answer one request, log it and, if it is selected, copy it to the challenger."""
        received_at = datetime.now(UTC)
        started = time.perf_counter()
        request_id = request.headers.get("x-request-id") or str(uuid.uuid4())
        begin_request(request.headers, request_id)
        role = self._role(request)
        body = b""
        try:
            body = await _read_body(request)
            answer = await self._answer(body, request.headers.get("content-type", ""), request_id)
        except BadRequest as error:
            answer = refusal(error.status, str(error))
        except ClientDisconnect:
            return Response(status_code=499)
        seconds = time.perf_counter() - started
        record = Record(
            use_case=self.use_case,
            request_id=request_id,
            version=self.version,
            role=role or "direct",
            entity_id=request.headers.get("x-entity-id") or self._entity(answer.rows),
            received_at=received_at,
            latency_ms=seconds * 1000,
            status=answer.status,
            inputs=answer.rows.records() if answer.rows else None,
            predictions=answer.predictions,
            decision=answer.content.get("decision"),
            feature_age_s=answer.rows.feature_age_s if answer.rows else None,
            **ids_of(request.headers),
        )
        # A request without a role is a test. A service that is away is no failure of a challenger.
        self.log.record(record, stored=role == "champion" or (bool(role) and answer.status != UNAVAILABLE))
        metrics.REQUESTS.labels(role or "direct", str(answer.status)).inc()
        metrics.SECONDS.labels(role or "direct").observe(seconds)
        return JsonResponse(
            answer.content | {"request_id": request_id},
            http_status(answer.status, role),
            response_headers(request_id, answer.rows, answer.status),
            background=self._copy(role, request, body, request_id),
        )

    async def explain(self, request: Request) -> Response:
        """Return what each feature adds to the predictions of some rows, or of an answered request."""
        request_id = request.headers.get("x-request-id") or str(uuid.uuid4())
        try:
            body = await _read_body(request)
            content = await self.explanations.explain(body, request.headers.get("content-type", ""))
            status = OK
        except BadRequest as error:
            content = refusal(error.status, str(error)).content
            status = error.status
        except ClientDisconnect:
            return Response(status_code=499)
        metrics.REQUESTS.labels("explanation", str(status)).inc()
        headers = response_headers(request_id, None, status)
        return JSONResponse(content | {"request_id": request_id}, status, headers)

    async def openapi(self, _: Request) -> Response:
        """Return the description of the endpoints of this use case, for OpenAPI tools."""
        return JSONResponse(openapi_document(self.model.interface, self.version, self._keys))

    async def ready(self, _: Request) -> Response:
        """Return the name and version of the model that is served; 503 if its thread hangs."""
        content: dict[str, Any] = {"name": self.use_case, "version": self.version}
        if self.batcher.is_stuck:
            return JSONResponse(content | {"problem": "a call of the model does not end"}, UNAVAILABLE)
        return JSONResponse(content)

    async def metrics(self, _: Request) -> Response:
        """Return the metrics of this process."""
        return Response(metrics.exposition(), media_type="text/plain; version=0.0.4")

    async def _answer(self, body: bytes, content_type: str, request_id: str) -> Answer:
        try:
            rows = await self._parse_rows(body, content_type)
        except BadRequest as error:
            return refusal(error.status, str(error))
        try:
            predictions = await self.batcher.predict(rows)
        except BadRequest as error:
            return refusal(error.status, str(error), rows)
        except InvalidPrediction as error:
            # What a model raises may name values of other callers.
            _log.warning("request %s: %s", request_id, error)
            return refusal(500, FAILED.format(self.use_case, self.version), rows)
        model: dict[str, Any] = {"name": self.use_case, "version": self.version}
        if self.model.classes:
            model["classes"] = list(self.model.classes)
        content: dict[str, Any] = {"predictions": predictions, "model": model}
        if self.model.decision is not None:
            content["decision"] = self.model.decision.answer(np.asarray(predictions), self.model.classes)
            if self.model.decision.threshold is not None:
                model["threshold"] = self.model.decision.threshold
        return Answer(OK, content, rows, predictions)

    async def _parse_rows(self, body: bytes, content_type: str) -> Rows:
        """Return the checked rows of a body, with the features that it leaves out looked up."""
        if len(body) > LARGE_BODY_BYTES:
            rows = await run_in_threadpool(self._parse, body, content_type)
        else:
            rows = self._parse(body, content_type)
        return await self.features.complete(rows, self.model.columns) if self.features else rows

    @property
    def _keys(self) -> Keys:
        return self.features.keys if self.features else NO_KEYS

    def _parse(self, body: bytes, content_type: str) -> Rows:
        ignore_unknown = self.model.interface.ignores_unknown
        return parse_request(
            body, content_type, self.model.columns, self._keys, ignore_unknown=ignore_unknown
        )

    def _entity(self, rows: Rows | None) -> str | None:
        return self.features.entity_of(rows) if self.features else None

    def _role(self, request: Request) -> Role | None:
        """Return the role in which this server was called; None without the gateway."""
        route = request.headers.get("x-airworthy-route", "")
        if route.startswith("challenger="):
            return "challenger" if route == f"challenger={self.version}" else "champion"
        return cast("Role", route) if route in {"champion", "shadow", "replay"} else None

    def _copy(
        self, role: Role | None, request: Request, body: bytes, request_id: str
    ) -> BackgroundTask | None:
        # Any other route of a champion's request means that the challenger has received it before.
        is_first_attempt = request.headers.get("x-airworthy-route") == "champion"
        if role != "champion" or not is_first_attempt or not body or not self.shadow.wants(request_id):
            return None
        copied_names = ({"content-type", "x-entity-id"} | TRACE_HEADERS) & set(request.headers)
        headers = {name: request.headers[name] for name in copied_names} | {"x-request-id": request_id}
        return BackgroundTask(_send_copy, self.shadow, MirroredRequest(body, headers))

    def _log_failed_copy(self, copy: MirroredRequest, challenger: int) -> None:
        self.log.record(unanswered_copy(self.use_case, challenger, copy.headers))

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        yield
        await self.explanations.close()
        if self.features:
            await self.features.close()
        await run_in_threadpool(self.log.close)


async def _send_copy(shadow: Shadow, copy: MirroredRequest) -> None:
    """Queue a copy; as a coroutine it runs in the event loop, not in a thread of Starlette's pool."""
    shadow.send(copy)


async def _read_body(request: Request) -> bytes:
    return await read_body(request.stream(), request.headers.get("content-encoding", ""))


def warm_up(model: ServedModel) -> None:
    """Call the model once, so that the first caller does not wait for lazy imports."""
    placeholders: dict[str, Any] = {"string": "", "boolean": False, "datetime": "2000-01-01"}
    columns = {name: [placeholders.get(base_kind(kind), 0)] for name, kind in model.columns.items()}
    try:
        model.predict_columns(columns, 1)
        # The estimator answers large requests, and what the compiled twin refuses.
        model.predict(frame([Rows(columns, 1)], model.columns))
    except Exception as error:  # noqa: BLE001  a foreign estimator, on values that it may not accept
        _log.info("the warm-up failed: %s", error)


def served_specification(
    use_case: str, verified: Certificate, features: Sequence[str]
) -> Specification | None:
    """
    Return what was declared when a version was trained.

    None if its certificate has no specification, and the use case is not declared with its features any more.
    """
    declared = catalog().use_cases.get(use_case)
    try:
        return certified_specification(verified.snapshot, declared, features)
    except DeclarationError as error:
        _log.warning("%s: features cannot be looked up: %s", use_case, error)
        return None


def serve_version(use_case: str, version: int, folder: Path, port: int, *, replica: int = 1) -> int:
    """
    Load a version from `folder` and serve it on `port` until SIGTERM; return the exit code.

    `replica` tells it from other processes of this version; each has log files of its own.

    If the version cannot be loaded, write the error as JSON to stderr and return `CANNOT_SERVE`.
    """
    try:
        verified = verify_certificate(folder, settings().trusted_keys, use_case=use_case)
        specification = served_specification(use_case, verified, read_interface(folder).features)
        serving = specification.use_case.serving if specification else Serving()
        # Before the model is loaded, since loading it may fail with other packages.
        warnings = check_packages(verified.environment, serving)
        model = load_verified(folder, verified)
        model, twin_warnings = with_checked_twin(folder, model)
        warnings += twin_warnings + check_predictions(folder, model, serving)
        features = online_features_of(specification.selection if specification else None)
    except AirworthyError as error:
        sys.stderr.write(json.dumps({"error": str(error)}) + "\n")
        return CANNOT_SERVE
    for warning in warnings:
        _log.warning("%s version %d: %s.", use_case, version, warning)
    warm_up(model)
    slo = specification.use_case.slo if specification else DEFAULT_SLO
    app = ModelServer(use_case, version, model, features, slo=slo, replica=replica).app()
    # Workers on other machines call the server directly to test a version.
    all_interfaces = "0.0.0.0"  # noqa: S104
    host = LOOPBACK if settings().model_server_host == LOOPBACK else all_interfaces
    uvicorn.run(
        app, host=host, port=port, access_log=False, log_level="warning",
        timeout_keep_alive=75, timeout_graceful_shutdown=10, lifespan="on", http=SingleWriteProtocol,
    )  # fmt: skip
    return 0
