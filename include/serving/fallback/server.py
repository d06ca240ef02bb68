"""The fallback server: an HTTP application on a Unix socket that loads no model and needs no database."""

from __future__ import annotations

import socket
import uuid
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from include.inference.scoring_protocol import BadRequest
from include.serving import paths
from include.serving.fallback.answers import predict_fallback

if TYPE_CHECKING:
    from starlette.requests import Request


RETRY_AFTER_S = 60


def fallback_app() -> Starlette:
    """Return the ASGI application."""
    return Starlette(
        routes=[
            Route("/models/{use_case}/invocations", _answer_caller, methods=["POST"]),
            Route("/models/{use_case}/explanations", _refuse, methods=["POST"]),
        ]
    )


async def _answer_caller(request: Request) -> Response:
    name = request.path_params["use_case"]
    body = await request.body()
    content_type = request.headers.get("content-type", "")
    try:
        answer = await run_in_threadpool(predict_fallback, paths.fallback_file(name), body, content_type)
    except BadRequest as error:
        return _respond(request, {"error_code": "BAD_REQUEST", "message": str(error)}, error.status)
    if answer is None:
        return await _refuse(request)
    kind, predictions = answer
    model = {"name": name, "version": None, "fallback": kind}
    return _respond(request, {"predictions": predictions, "model": model})


async def _refuse(request: Request) -> Response:
    name = request.path_params["use_case"]
    message = f"{name} is switched off, and its fallback has no answer to this request."
    content = {"error_code": "SWITCHED_OFF", "message": message}
    return _respond(request, content | {"model": {"name": name, "version": None, "fallback": None}}, 503)


def _respond(request: Request, content: dict[str, Any], status: int = 200) -> Response:
    request_id = request.headers.get("x-request-id") or str(uuid.uuid4())
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status == 503 else {}
    return JSONResponse(content | {"request_id": request_id}, status, headers)


def main() -> None:
    """Serve until SIGTERM."""
    path = paths.fallback_socket()
    # Renamed when it listens, so that HAProxy always finds a socket and repeats what a killed server refuses.
    new_path = path.with_suffix(".new")
    new_path.unlink(missing_ok=True)
    config = uvicorn.Config(fallback_app(), access_log=False, log_level="warning")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(new_path))
        listening.listen()
        new_path.chmod(0o600)
        new_path.rename(path)
        uvicorn.Server(config).run(sockets=[listening])
