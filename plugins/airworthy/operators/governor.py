"""Turn what was measured into one decision, and act on it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk.exceptions import AirflowSkipException

from airworthy import run_context
from airworthy.hooks.lake import LakeHook
from airworthy.operators.drift import MonitoringOperator
from include.catalog import catalog
from include.errors import AttentionNeeded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context, XComArg

FOLLOWS = {"retrain": "training", "roll_back": "rollback"}


class DecideOperator(MonitoringOperator):
    """
    Weigh drift, labels and service against the use case's policies; the XCom is the decision.

    Whatever it is, "nothing" too, it goes to the ledger with its evidence, once per run.

    Example::

        DecideOperator(task_id="decide", use_case="flight_delay", drift=XComArg(detect, "figures"))

    :param use_case: a declared use case
    :param drift: the figures that `DriftDetectionOperator` pushed (templated)
    """

    template_fields: Sequence[str] = ("use_case", "drift")
    operator_extra_links = ()

    def __init__(self, *, drift: dict[str, Any] | XComArg, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.drift: Any = drift

    def execute(self, context: Context) -> dict[str, Any]:
        """Return the decision."""
        from include.monitoring import champion_check, governor
        from include.monitoring.figures import jsonable
        from include.release.rollout_status import now

        lake, moment = LakeHook(self.lake_conn_id).lake, now(self.engine)
        end = datetime.fromisoformat(self.drift["end"])
        with self.engine.connect() as connection:
            about = self.subject(connection, lake)
            seen = champion_check.read_window(about, connection, lake, end=end)
            quality = champion_check.check_quality(about, seen, connection, lake)
            service = champion_check.check_service(about, connection, end=moment)
            signals = champion_check.collect_signals(
                about, self.drift["outcome"], quality, service, connection=connection, lake=lake
            )
            history = governor.past_checks(connection, self.use_case, now=moment)
        decision = governor.decide(signals, catalog().use_cases[self.use_case].retrain, history, moment)
        decided = governor.record_check(
            self.engine,
            self.use_case,
            decision,
            run=run_context.run_key(context),
            window=(seen.start, seen.end),
            figures={"drift": self.drift, "quality": quality, "service": service},
            actor=run_context.actor(context),
        )
        self.log.info("%s: %s; quality: %s", decided.action, decided.reason, quality.reason)
        return dict(jsonable(asdict(decided)))


class ActOperator(TriggerDagRunOperator):
    """
    Set off the DAG that a decision asks for; fail where it asks for a person; skip where for nothing.

    Example::

        ActOperator(task_id="act", use_case="flight_delay", decision=decide.output)

    :param use_case: a declared use case
    :param decision: what `DecideOperator` returned (templated)
    """

    template_fields: Sequence[str] = (*TriggerDagRunOperator.template_fields, "decision")

    def __init__(self, *, use_case: str, decision: dict[str, Any] | XComArg, **kwargs: Any) -> None:
        super().__init__(
            trigger_dag_id=f"{use_case}_training",
            trigger_run_id="decided__{{ run_id }}",
            skip_when_already_exists=True,
            **kwargs,
        )
        self.use_case = use_case
        self.decision: Any = decision

    def execute(self, context: Context) -> None:
        """Act on the decision."""
        action, reason = self.decision["action"], self.decision["reason"]
        if action == "nothing":
            raise AirflowSkipException(f"Nothing to do: {reason}.")
        if action not in FOLLOWS:
            raise AttentionNeeded(f"{self.use_case}: {action}: {reason}. See the drift report and ledger.")
        self.trigger_dag_id = f"{self.use_case}_{FOLLOWS[action]}"
        self.conf = {"reason": reason} if action == "roll_back" else {}
        super().execute(context)
