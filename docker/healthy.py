"""Health check of a container: `healthy.py <url> [<status> | <Airflow component>]` or `healthy.py worker`."""

from __future__ import annotations

import json
import os
import socket
import sys
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

REQUEST_TIMEOUT_S = 5


def problem(target: str, expected: str = "200") -> str:
    """
    Return what is wrong with a service, or an empty string.

    Parameters
    ----------
    target
        URL of the service, or `worker` for the Celery worker of this container.
    expected
        HTTP status, or the component whose status must be healthy in Airflow's health report.
    """
    if target == "worker":
        return _worker_problem()
    status, body = _get(target)
    if expected.isdigit():
        return "" if status == int(expected) else f"{target} answers {status}, not {expected}"
    state = json.loads(body)[expected]["status"]
    return "" if state == "healthy" else f"{expected} is {state}"


def _get(url: str) -> tuple[int, bytes]:
    opener = build_opener(ProxyHandler({}))
    try:
        with opener.open(url, timeout=REQUEST_TIMEOUT_S) as response:
            return response.status, response.read()
    except HTTPError as error:
        return error.code, b""


def _worker_problem() -> str:
    from celery import Celery

    name = f"celery@{socket.gethostname()}"
    app = Celery(broker=os.environ["AIRFLOW__CELERY__BROKER_URL"])
    replies = app.control.ping(destination=[name], timeout=REQUEST_TIMEOUT_S)
    return "" if replies else f"{name} does not answer"


if __name__ == "__main__":
    sys.exit(problem(*sys.argv[1:]) or 0)
