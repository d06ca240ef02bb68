"""Whether a service works: `healthy.py <url> [<status> | <component of Airflow>]`, or `healthy.py worker`."""

from __future__ import annotations

import json
import os
import socket
import sys
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

PATIENCE = 5  # seconds


def problem(target: str, wanted: str = "200") -> str:
    """Return what is wrong with the service; empty when nothing is."""
    if target == "worker":
        return _worker()
    status, body = _ask(target)
    if wanted.isdigit():
        return "" if status == int(wanted) else f"{target} answers {status}, not {wanted}"
    state = json.loads(body)[wanted]["status"]
    return "" if state == "healthy" else f"{wanted} is {state}"


def _ask(url: str) -> tuple[int, bytes]:
    opener = build_opener(ProxyHandler({}))
    try:
        with opener.open(url, timeout=PATIENCE) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        return error.code, b""


def _worker() -> str:
    from celery import Celery

    name = f"celery@{socket.gethostname()}"
    app = Celery(broker=os.environ["AIRFLOW__CELERY__BROKER_URL"])
    return "" if app.control.ping(destination=[name], timeout=PATIENCE) else f"{name} does not answer"


if __name__ == "__main__":
    sys.exit(problem(*sys.argv[1:]) or 0)
