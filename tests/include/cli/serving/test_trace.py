from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from include.cli.serving import trace as command
from include.governance.request_trace import RequestTrace
from tests.access_rows import access_row

RECORD: dict[str, Any] = {
    "version": 1, "role": "champion", "status": 200, "latency_ms": 2.0, "predictions": [0.1] * 5,
    "decision": [False, True, True, True],
    "inputs": [{"hour": number} for number in range(5)],
}  # fmt: skip


def test_a_trace_is_printed_with_attempts_and_origins(capsys) -> None:
    access = access_row(
        caller="billing", first_version=2, retries=1, received_at=datetime(2026, 1, 1, tzinfo=UTC)
    )
    trace = RequestTrace(access, [RECORD], [{"arr_delay": 11.0}], {"snapshot": "5a4e"}, ["MLflow is away"])
    command._print_trace(trace, "r, 1 of 1")
    text = capsys.readouterr().out
    for expected in (
        "2026-01-01T00:00:00+00:00 billing from 127.0.0.1",
        "delay invocations: status 200 after 5.0 ms",
        "version 2 was called first, then 1 more attempts; the last went to version 1",
        "{'hour': 2} and 2 more",
        "False, True, True and 1 more",
        "label: arr_delay 11.0",
        "trained on: snapshot 5a4e",
        "not shown: MLflow is away",
    ):
        assert expected in text


def test_a_request_that_the_gateway_answered_says_so() -> None:
    access = access_row(status=413, first_version=None, version=None, termination="LR")
    assert "no version was called; HAProxy ended it with LR" in command.describe_access(access)
