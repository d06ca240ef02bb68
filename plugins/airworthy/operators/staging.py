"""Operator that waits for a candidate's model server and runs the smoke test."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airworthy.operators.base import ReleaseOperator
from airworthy.triggers.rollout import RolloutTrigger
from include.catalog import catalog
from include.errors import RolloutFailed
from include.release.strategies import strategy_of
from include.settings import settings

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.release.smoke_test import SmokeResult

# Most servers start within this time; for slower ones the task is deferred.
INLINE_WAIT = 8.0  # seconds


class StageModelOperator(ReleaseOperator):
    """
    Wait until the candidate's model server is ready, then compare its predictions for the golden rows.

    The golden rows come from the candidate's certificate. They are also sent under load.

    Example::

        StageModelOperator(task_id="stage", use_case="flight_delay", lease=begin.output)

    :param use_case: a declared use case
    :param lease: the XCom of `BeginRolloutOperator` (templated)
    :param start_timeout: how long the server may take until it is ready
    """

    def __init__(self, *, start_timeout: timedelta = timedelta(minutes=3), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.start_timeout = start_timeout

    def execute(self, context: Context) -> dict[str, float | int | str]:
        """Wait for the server, in the triggerer if it takes long, and return the smoke test's figures."""
        from include.release.rollout_status import database_time

        trigger = RolloutTrigger(
            use_case=self.use_case,
            version=self.parse_lease().version,
            since=database_time(self.engine).isoformat(),
            airworthy_conn_id=self.airworthy_conn_id,
            timeout=self.patience(self.start_timeout).total_seconds(),
        )
        event = trigger.wait_inline(self.engine, INLINE_WAIT)
        if event is None:
            self.defer(trigger=trigger, method_name="smoke_test")
        return self.smoke_test(context, event)

    def smoke_test(self, context: Context, event: dict[str, Any]) -> dict[str, float | int | str]:
        """
        Return the figures of the smoke test.

        :param event: the event of the `RolloutTrigger`
        :raises RolloutFailed: if the server did not start, or the smoke test failed
        """
        from include.modeling.registration.versions import golden_of_version

        version = self.parse_lease().version
        if not event["live"]:
            reason = event["reason"] or f"no response within {self.patience(self.start_timeout)}"
            raise RolloutFailed(
                f"{self.use_case} version {version} cannot be served: {reason}. See its server's log."
            )
        golden = golden_of_version(self.registry, self.use_case, version, trusted=settings().trusted_keys)
        result = self._test(version, golden, event["address"])
        if not result.passed:
            raise RolloutFailed(
                f"{self.use_case} version {version} failed its smoke test: {result.reason}. "
                "It never got traffic. See its server's log."
            )
        self.log.info("%s version %d: %s", self.use_case, version, result.reason)
        return result.figures

    def _test(self, version: int, golden: dict[str, Any], address: str) -> SmokeResult:
        from include.release.smoke_test import run_smoke_test
        from include.release.targets.smoke import smoke_test_variant

        use_case = catalog().use_cases[self.use_case]
        if use_case.serving.target != "local":
            return smoke_test_variant(use_case, version, golden)
        return run_smoke_test(
            f"http://{address}",
            self.use_case,
            golden,
            requests=strategy_of(use_case.rollout).smoke_requests,
            maximum_p99=timedelta(milliseconds=use_case.slo.latency_p99_ms),
        )
