"""Operator that waits for a candidate's model server and tests it through the gateway."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from airworthy import run_context
from airworthy.hooks.gateway import GatewayHook
from airworthy.hooks.lake import LakeHook
from airworthy.operators.base import FAILURE, ReleaseOperator
from airworthy.triggers.rollout import RolloutTrigger
from include.catalog import catalog
from include.errors import DataError, RolloutFailed
from include.release.strategies import strategy_of
from include.settings import settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow.sdk import Context

    from include.declarations import UseCase
    from include.inference.model import ServedModel
    from include.release.smoke_test import SmokeResult

# Most servers start within this time; for slower ones the task is deferred.
INLINE_WAIT = 8.0  # seconds


class StageModelOperator(ReleaseOperator):
    """
    Wait until the candidate's model server is ready, then test it through the gateway, unseen by callers.

    The golden rows of the candidate must be predicted as in its evaluation, also under a load of the declared
    rate. The test rows of its evaluation are sent, too, and their metrics must be those on its certificate.
    Of a version that was fitted again on all rows, they must be those that its package reaches here.

    Example::

        StageModelOperator(task_id="stage", use_case="flight_delay", lease=begin.output)

    :param use_case: a declared use case
    :param lease: the XCom of `BeginRolloutOperator` (templated)
    :param start_timeout: how long the server may take until it is ready
    """

    def __init__(
        self,
        *,
        start_timeout: timedelta = timedelta(minutes=3),
        lake_conn_id: str = LakeHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.start_timeout = start_timeout
        self.lake_conn_id = lake_conn_id

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
        Return the figures of the smoke test and of the served test rows.

        :param event: the event of the `RolloutTrigger`
        :raises RolloutFailed: if the server did not start, or a test failed; the message has figure and limit
        """
        from include.modeling.registration.versions import golden_of_version
        from include.release.targets.smoke import smoke_test_variant

        version = self.parse_lease().version
        if not event["live"]:
            reason = event["reason"] or f"no response within {self.patience(self.start_timeout)}"
            context["ti"].xcom_push(FAILURE, f"it cannot be served: {reason}")
            raise RolloutFailed(
                f"{self.use_case} version {version} cannot be served: {reason}. See its server's log."
            )
        use_case = catalog().use_cases[self.use_case]
        golden = golden_of_version(self.registry, self.use_case, version, trusted=settings().trusted_keys)
        if use_case.serving.target != "local":
            result = smoke_test_variant(use_case, version, golden)
            self._require(context, result.passed, version, f"smoke test: {result.reason}")
            return result.figures
        with self._staged_access(context, version) as (address, headers):
            result = self._test_through_gateway(use_case, golden, address, headers)
            self._require(context, result.passed, version, f"smoke test: {result.reason}")
            figures = result.figures | self._evaluate_served(context, version, address, headers)
        self.log.info("%s version %d: %s", self.use_case, version, result.reason)
        return figures

    def _test_through_gateway(
        self, use_case: UseCase, golden: dict[str, Any], address: str, headers: dict[str, str]
    ) -> SmokeResult:
        from include.release.smoke_test import run_smoke_test

        return run_smoke_test(
            address,
            golden,
            headers=headers,
            requests=strategy_of(use_case.rollout).smoke_requests,
            rate=use_case.slo.rate,
            maximum_p99=timedelta(milliseconds=use_case.slo.latency_p99_ms),
        )

    @contextmanager
    def _staged_access(self, context: Context, version: int) -> Iterator[tuple[str, dict[str, str]]]:
        """
        Provide the gateway's address and the headers that reach the version, which no caller does.

        The token is one of this test. That of a test that was killed is revoked first.
        """
        from include.serving.gateway.staged_access import staged_token, wait_until_reachable

        address = GatewayHook(self.gateway_conn_id).invocations(self.use_case)
        with staged_token(self.engine, self.use_case, actor=run_context.actor(context)) as token:
            headers = {"Authorization": f"Bearer {token}", "X-Airworthy-Stage": str(version)}
            wait_until_reachable(address, headers)
            yield address, headers

    def _evaluate_served(
        self, context: Context, version: int, address: str, headers: dict[str, str]
    ) -> dict[str, float | int | str]:
        """Compare the metrics of the served answers to the test rows with those on the certificate."""
        from include.data.snapshots import snapshot as snapshots
        from include.modeling.pipeline.workspace import split_snapshot
        from include.modeling.served_evaluation import evaluate_package, evaluate_served
        from include.specifications import certified_specification

        certificate = self.verified(version)
        snapshot = snapshots.Snapshot.from_json(json.dumps(certificate.snapshot, default=str))
        specification = certified_specification(certificate.snapshot, catalog().use_cases[self.use_case])
        try:
            frame = snapshots.read_snapshot(
                specification.use_case, snapshot, LakeHook(self.lake_conn_id).lake
            )
        except DataError as error:
            # Rows may have been erased since the training, and a version that served before may come back.
            self.log.warning("The test rows cannot be read again, and were not sent: %s", error)
            return {}
        test = split_snapshot(specification, frame).test
        evaluated: Mapping[str, float] = certificate.metrics
        reference = "in the evaluation"
        if certificate.refit:
            self.log.info("It was fitted again on all rows: its package is evaluated here.")
            with self._downloaded(version) as model:
                evaluated = evaluate_package(specification, test, model)
            reference = "by its package"
        served = evaluate_served(specification, test, evaluated, address, headers, reference=reference)
        problem = f"test on the rows of its evaluation: {served.problem}"
        self._require(context, not served.problem, version, problem)
        return served.figures

    @contextmanager
    def _downloaded(self, version: int) -> Iterator[ServedModel]:
        from include.modeling.registry.load_version import load_version

        with TemporaryDirectory(prefix=f"{self.use_case}-") as folder:
            loaded = load_version(
                self.registry,
                self.use_case,
                version,
                folder=Path(folder) / "model",
                trusted=settings().trusted_keys,
            )
            yield loaded.model

    def _require(self, context: Context, passed: bool, version: int, problem: str) -> None:
        if not passed:
            context["ti"].xcom_push(FAILURE, problem)
            raise RolloutFailed(
                f"{self.use_case} version {version} failed its {problem}. "
                "It never got traffic. See its server's log."
            )
