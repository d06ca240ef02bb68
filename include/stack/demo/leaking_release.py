"""Steps of the demo about a version that passes all gates and fails in production only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from include.credentials import load_credentials
from include.stack.demo.flight_requests import (
    REQUESTS_PER_SECOND,
    USE_CASE,
    create_traffic,
    describe_traffic,
)
from include.stack.demo.runs import StepFailed
from include.stack.embedded import environment

if TYPE_CHECKING:
    from datetime import date

    from include.stack.demo.console import Step
    from include.stack.demo.runs import Demo

MODULE = "include.stack.demo.leaking_version"
TRAINING_TIMEOUT_S = 400.0
ROLLOUT_TIMEOUT_S = 600.0
# Few callers until the shadow step, which would show the leak too, is over; then more calls than it allows.
EARLY_REQUESTS_PER_SECOND = 5.0
LIVE_STEPS = ("shadow", "canary_")
MAX_ERROR_LENGTH = 1_000


def train_leaking_version(demo: Demo, step: Step, as_of: date) -> int | None:
    """
    Train and register a version that leaks, in a process of its own.

    Returns
    -------
    int | None
        The registered version; None if it did not pass its gates.

    Raises
    ------
    StepFailed
        If the process failed, or took too long.
    """
    run = f"demo__{datetime.now(UTC).isoformat(timespec='seconds')}"
    credentials = load_credentials(demo.settings.root)
    variables = os.environ | environment.environment_of("airflow", demo.settings, credentials)
    step.show_progress("by the steps of the training DAG, in a process of its own")
    try:
        process = subprocess.run(  # noqa: S603  our own interpreter and module
            [sys.executable, "-P", "-m", MODULE, str(as_of), run],
            env=variables, capture_output=True, text=True, timeout=TRAINING_TIMEOUT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise StepFailed(f"{MODULE} did not end within {TRAINING_TIMEOUT_S:.0f} s.") from error
    if process.returncode:
        raise StepFailed(f"{MODULE} failed: {process.stderr[-MAX_ERROR_LENGTH:]}")
    result: dict[str, Any] = json.loads(process.stdout)
    outcomes = [verdict["outcome"] for verdict in result["verdicts"]]
    if result["version"] is None:
        step.add_result(f"it is not rolled out: {result['refusal']}")
        return None
    step.add_result(f"{outcomes.count('pass')} of {len(outcomes)} gates passed, none that blocks failed")
    step.add_result(f"certified and registered as version {result['version']}")
    return int(result["version"])


def roll_out_leaking_version(demo: Demo, step: Step, version: int) -> None:
    """
    Deploy the version that leaks while callers send requests, until it is rolled back.

    Raises
    ------
    StepFailed
        If it was promoted, or failed before it got requests.
    """
    dag_id = f"{USE_CASE}_deployment"
    champion = demo.model_status(USE_CASE)["champion"]
    with create_traffic(demo, rate=EARLY_REQUESTS_PER_SECOND) as traffic:

        def add_callers(states: dict[str, str]) -> None:
            if states.get("shadow") == "success":
                traffic.rate = REQUESTS_PER_SECOND

        run_id = demo.api.trigger(dag_id, {"version": version})
        tasks = demo.finish_run(step, dag_id, run_id, ROLLOUT_TIMEOUT_S, watch=add_callers)
    failed = [name for name, state in tasks.items() if state == "failed"]
    if not failed:
        raise StepFailed(
            f"Version {version} was promoted, although it leaks: {demo.api.link(dag_id, run_id)}"
        )
    if len(failed) > 1 or not failed[0].startswith(LIVE_STEPS):
        raise StepFailed(demo.api.explain_failure(dag_id, run_id, failed[0]))
    step.add_result(f"ledger: {_read_ledger(demo, version)}")
    describe_traffic(step, traffic.stats)
    step.add_result(f"champion is still version {champion}")


def _read_ledger(demo: Demo, version: int) -> str:
    """Return the entry that ended the rollout of a version, in words."""
    from include.database import ledger
    from include.database.tables import connect

    credentials = load_credentials(demo.settings.root)
    engine = connect(environment.database_url("airworthy", demo.settings, credentials))
    with engine.connect() as connection:
        entries = ledger.ledger_entries(connection, USE_CASE)
    engine.dispose()
    entry = next(entry for entry in entries if entry["version"] == version)
    return f"version {version} {entry['event']}: {entry['reason']}"
