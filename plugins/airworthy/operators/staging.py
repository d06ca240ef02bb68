"""Prove that a candidate answers before anybody depends on it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airworthy.operators.base import ReleaseOperator
from airworthy.triggers.rollout import RolloutTrigger
from include.catalog import catalog
from include.errors import RolloutFailed
from include.settings import settings

if TYPE_CHECKING:
    from airflow.sdk import Context

INLINE_WAIT = 8.0  # seconds that most servers start in; what takes longer is awaited in the triggerer


class StageModelOperator(ReleaseOperator):
    """
    Wait until the candidate's server is ready, then ask it the golden rows of its certificate, under load.

    Example::

        StageModelOperator(task_id="stage", use_case="flight_delay", hold=begin.output)

    :param use_case: a declared use case
    :param hold: what `BeginRolloutOperator` returned (templated)
    :param patience: how long the server may take to be ready
    """

    def __init__(self, *, patience: timedelta = timedelta(minutes=3), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.patience = patience

    def execute(self, context: Context) -> dict[str, float | int | str]:
        """Wait for the server, in the triggerer if it takes long, and test it."""
        from include.release.rollout_status import now

        trigger = RolloutTrigger(
            use_case=self.use_case,
            version=self.held().version,
            since=now(self.engine).isoformat(),
            airworthy_conn_id=self.airworthy_conn_id,
            patience=self.patience.total_seconds(),
        )
        event = trigger.at_once(self.engine, INLINE_WAIT)
        if event is None:
            self.defer(trigger=trigger, method_name="smoke_test")
        return self.smoke_test(context, event)

    def smoke_test(self, context: Context, event: dict[str, Any]) -> dict[str, float | int | str]:
        """Return the figures of the smoke test, or fail with what the candidate answered."""
        from include.modeling.registration.versions import golden_of_version
        from include.release import smoke_test as smoke

        version = self.held().version
        if not event["live"]:
            reason = event["reason"] or f"no answer within {self.patience}"
            raise RolloutFailed(
                f"{self.use_case} version {version} cannot be served: {reason}. See its server's log."
            )
        rows = golden_of_version(self.registry, self.use_case, version, trusted=settings().trusted_keys)
        limit = timedelta(milliseconds=catalog().use_cases[self.use_case].slo.latency_p99_ms)
        result = smoke.run_smoke_test(f"http://{event['address']}", self.use_case, rows, maximum_p99=limit)
        if not result.passed:
            raise RolloutFailed(f"{self.use_case} version {version} failed its smoke test: {result.reason}.")
        return result.figures
