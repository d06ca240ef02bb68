"""Operators that make the decisions of monitoring and carry them out."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from sqlalchemy.exc import SQLAlchemyError

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from airworthy import run_context
from airworthy.hooks.airworthy_database import AirworthyDatabaseHook
from airworthy.hooks.lake import LakeHook
from airworthy.links import ModelPageLink
from airworthy.operators.drift import LOG_LAG, MonitoringOperator
from airworthy.operators.trigger_run import TriggerRunOperator
from include.catalog import catalog
from include.errors import RUNBOOKS, AttentionNeeded, PartitionMissing, ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from airflow.sdk import Context, XComArg

    from include.monitoring.diagnosis import Measurements

FIVE_MINUTES = timedelta(minutes=5)
# The DAG that carries out an action; the other actions need a person.
FOLLOW_UP_DAGS = {"retrain": "training", "roll_back": "rollback"}


class DecideOperator(MonitoringOperator):
    """
    Decide by drift and label quality what to do; the XCom is the decision.

    Each decision is written to the ledger with its evidence, once per run, also if it is `nothing`.

    Example::

        DecideOperator(task_id="decide", use_case="flight_delay", drift=XComArg(detect, "figures"))

    :param use_case: a declared use case
    :param drift: the XCom `figures` of `DriftDetectionOperator` (templated)
    """

    template_fields: Sequence[str] = ("use_case", "drift")
    operator_extra_links = (ModelPageLink(),)

    def __init__(self, *, drift: dict[str, Any] | XComArg, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.drift: Any = drift

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Return the decision: `action`, `reason` and `evidence`.

        What cannot be measured, since a service is away after all retries or the data is unfit, is named in
        the reason, and the rest is judged. Without PostgreSQL there is no decision.
        """
        from include.monitoring import governor

        moment = run_context.moment(context)
        run = run_context.dag_run_key(context)
        policy = catalog().use_cases[self.use_case].retrain
        with self.engine.connect() as connection:
            measured = self.measure(connection, context, moment)
            start, end = measured.window
            span = max(governor.MONTH, 2 * policy.n * (end - start))
            history = governor.past_checks(connection, self.use_case, now=moment, run=run, span=span)
        signals = replace(measured.signals, trainings=self.count_trainings(context))
        decision = governor.decide(signals, policy, history, moment)
        decision.evidence["next_check"] = self.next_check(moment)
        if run_context.is_backfill(context) and decision.action != "nothing":
            reason = f"a backfill changes nothing; it would be {decision.action}: {decision.reason}"
            decision = replace(decision, action="nothing", reason=reason)
        if self.drift.get("report_problem"):
            decision = replace(decision, reason=f"{decision.reason}; {self.drift['report_problem']}")
        decision = governor.record_check(
            self.engine,
            self.use_case,
            decision,
            run=run,
            window=measured.window,
            figures={
                "moment": moment,
                "drift": self.drift,
                "quality": measured.quality,
                "service": measured.service,
            },
            actor=run_context.actor(context),
        )
        self.log.info(
            "%s version %s: %s: %s; label quality: %s; service: %s",
            self.use_case,
            signals.version,
            decision.action,
            decision.reason,
            measured.quality.reason,
            measured.service.reason,
        )
        return asdict(decision)

    def measure(self, connection: Connection, context: Context, moment: datetime) -> Measurements:
        """Return the quality, the service level and the signals; what cannot be measured is unknown."""
        from include.database import ledger
        from include.monitoring import diagnosis, slo

        made = ledger.champion_at(connection, self.use_case, moment)
        if made is None:
            raise AirflowSkipException(f"{self.use_case} has no champion yet: there is nothing to monitor.")
        declared = catalog().use_cases[self.use_case]
        end = moment - LOG_LAG
        service = slo.measure_service(connection, self.use_case, declared.slo, end=end)
        unknown = (f"drift: {self.drift['reason']}",) if self.drift.get("unknown") else ()
        measured = diagnosis.without_measurements(
            declared, made["version"], self.drift["outcome"], service, end=end, unknown=unknown
        )
        try:
            return self._measure_quality(connection, moment, measured)
        except PartitionMissing as error:
            return replace(measured, quality=replace(measured.quality, reason=f"no data: {error}"))
        except (AirflowSkipException, SQLAlchemyError):
            raise
        except Exception as error:
            if isinstance(error, ServiceUnavailable) and run_context.has_retries(context):
                raise
            self.log.exception("%s: quality and labels cannot be measured", self.use_case)
            return measured.lacking(f"quality and labels: {error}")

    def _measure_quality(
        self, connection: Connection, moment: datetime, measured: Measurements
    ) -> Measurements:
        """Return the same with what needs MLflow and the lake."""
        from include.monitoring import champion_check

        lake = LakeHook(self.lake_conn_id).lake
        champion = self.read_champion(connection, lake, moment)
        window = champion_check.read_window(champion, connection, lake, end=moment - LOG_LAG)
        evaluation = self.read_evaluation(champion.state.champion)
        quality = champion_check.check_quality(champion, window, connection, lake, **evaluation)
        signals = champion_check.collect_signals(
            champion,
            measured.signals.drift,
            quality,
            window,
            connection=connection,
            lake=lake,
            data_faults=self.drift.get("faults"),
        )
        return replace(measured, quality=quality, signals=replace(signals, unknown=measured.signals.unknown))

    def next_check(self, moment: datetime) -> str:
        """Return when the schedule looks again, in ISO 8601; empty without a schedule."""
        from croniter import croniter

        schedules = catalog().use_cases[self.use_case].schedules
        cron = schedules.cron("monitoring", self.use_case)
        if cron is None:
            return ""
        local = moment.astimezone(ZoneInfo(schedules.time_zone))
        following: datetime = croniter(cron, local).get_next(datetime)
        return following.isoformat(timespec="minutes")

    def count_trainings(self, context: Context) -> int:
        """Return how many runs of the training DAG wait or run."""
        states = ["queued", "running"]
        count: int = context["ti"].get_dr_count(dag_id=f"{self.use_case}_training", states=states)
        return count


class ServiceCheckOperator(BaseOperator):
    """
    Check what callers of each use case got in an hour; the XCom has those that need an action.

    The hour ends at the run's last full five minutes, whenever the task runs: a repeated run measures the
    same. A backfill, and a run of an older hour, change nothing.

    Example::

        ServiceCheckOperator(task_id="check")

    :param airworthy_conn_id: connection of the Airworthy database
    """

    def __init__(self, *, airworthy_conn_id: str = AirworthyDatabaseHook.default_conn_name, **kwargs: Any):
        super().__init__(**kwargs)
        self.airworthy_conn_id = airworthy_conn_id

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """
        Return `use_case` and `decision` of those to act on.

        :raises ServiceUnavailable: if the access log is not complete until the end of the hour
        """
        from include.monitoring import service_check
        from include.release.rollout_status import database_time

        engine = AirworthyDatabaseHook(self.airworthy_conn_id).engine
        moment = run_context.moment(context)
        end = moment - (moment - datetime.min.replace(tzinfo=UTC)) % FIVE_MINUTES
        is_past = database_time(engine) - end > service_check.MAX_AGE
        acts = not (run_context.is_backfill(context) or is_past)
        actions: list[dict[str, Any]] = []
        with engine.connect() as connection:
            service_check.require_log(connection, end)
        for name, use_case in catalog().use_cases.items():
            with engine.connect() as connection:
                check = service_check.measure(connection, use_case, end=end)
            if check is None:
                continue
            decision = service_check.decide_service(check)
            run = run_context.dag_run_key(context)
            if acts:
                actor = run_context.actor(context)
                decision = service_check.record(engine, name, check, decision, run=run, actor=actor)
            self.log.info("%s version %s: %s: %s", name, check.version, decision.action, decision.reason)
            if acts and decision.action != "nothing":
                actions.append({"use_case": name, "decision": asdict(decision)})
        return actions


class ActOperator(TriggerRunOperator):
    """
    Trigger the DAG that carries out a decision.

    The task is skipped if there is nothing to do. It fails if the decision is for a person to act on.

    Example::

        ActOperator(task_id="act", use_case="flight_delay", decision=decide.output)

    :param use_case: a declared use case
    :param decision: the XCom of `DecideOperator` (templated)
    """

    template_fields: Sequence[str] = (*TriggerRunOperator.template_fields, "decision")
    operator_extra_links = [*TriggerRunOperator.operator_extra_links, ModelPageLink()]

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
        """
        Trigger the DAG.

        :raises AttentionNeeded: if a person has to act
        """
        action = self.decision["action"]
        reason = self.decision["reason"]
        following = self.decision["evidence"].get("next_check")
        next_check = f" The next check is at {following}." if following else ""
        if action in {"nothing", "thaw"}:
            raise AirflowSkipException(f"Nothing to do: {reason}.{next_check}")
        if action not in FOLLOW_UP_DAGS:
            runbook = "releases-frozen" if action == "freeze" else AttentionNeeded.runbook
            raise AttentionNeeded(
                f"{self.use_case}: {action}: {reason}. See the drift report and the ledger, and "
                f"{RUNBOOKS}/{runbook}.md.{next_check}"
            )
        self.trigger_dag_id = f"{self.use_case}_{FOLLOW_UP_DAGS[action]}"
        self.conf = {"reason": reason}
        if action == "roll_back":
            self.conf["version"] = self.decision["evidence"]["version"]
        super().execute(context)
