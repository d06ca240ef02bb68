"""Operator that sends traffic to a challenger and analyses its responses."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from airflow.sdk.exceptions import TaskAwaitingInput
from airflow.sdk.execution_time.hitl import upsert_hitl_detail

from airworthy import run_context
from airworthy.answers import NO_ANSWER, REASON, describe_answer, reason_param, respondent
from airworthy.hooks.lake import LakeHook
from airworthy.operators.base import FAILURE, ReleaseOperator
from airworthy.triggers.rollout import RolloutTrigger
from airworthy.triggers.rollout_losses import LossReader
from include.catalog import catalog
from include.errors import RolloutFailed

if TYPE_CHECKING:
    from airflow.sdk import Context

# A step without bake time is awaited for this long before the task is deferred.
INLINE_WAIT = 2.0  # seconds
LIVE_TIMEOUT = timedelta(minutes=3)
# A staged version is live again a moment after the step began.
LIVE_WAIT = 15.0  # seconds
GO_ON = "Go on"
ROLL_BACK = "Roll back"
NO_CHAMPION = "no champion yet: there is nothing to compare the challenger with"


class ShiftTrafficOperator(ReleaseOperator):
    """
    Send a share of the requests to the challenger, wait for the bake time, and compare it with the champion.

    Bake time, minimum number of requests and limits come from the `rollout` of the use case's declaration.
    Labels of its requests that have landed in the lake meanwhile are judged, too.
    The task waits in the triggerer. It fails if the challenger is worse, and asks a person if it is still
    undecided after `patience`. Without a champion, traffic is not split and the task succeeds.

    Example::

        ShiftTrafficOperator(task_id="canary_25", use_case="flight_delay", lease=begin.output, percent=25)
        ShiftTrafficOperator(task_id="shadow", use_case="flight_delay", lease=begin.output, shadow_share=1.0)

    :param use_case: a declared use case
    :param lease: the XCom of `BeginRolloutOperator` (templated)
    :param percent: share of the requests that the challenger answers, in percent
    :param shadow_share: share of the champion's requests that are copied to the challenger, from 0 to 1
    :param analysed: if False, the task ends when the gateway has the route, without an analysis
    """

    def __init__(
        self,
        *,
        percent: int = 0,
        shadow_share: float = 0.0,
        analysed: bool = True,
        lake_conn_id: str = LakeHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.lake_conn_id = lake_conn_id
        self.percent = percent
        self.shadow_share = shadow_share
        self.analysed = analysed

    @property
    def stage(self) -> Literal["shadow", "canary"]:
        """`canary` if the challenger answers requests, `shadow` if it only gets copies."""
        return "canary" if self.percent else "shadow"

    def execute(self, context: Context) -> str | dict[str, Any]:
        """Return the figures of the step, or a remark if there is no champion."""
        from include.release import rollout

        with self.engine.connect() as connection:
            champion = rollout.read_state(connection, self.use_case).champion
        if champion is None:
            return NO_CHAMPION
        return self._shift(context)

    def _shift(self, context: Context) -> dict[str, Any]:
        from include.release import rollout, rollout_status

        lease = self.parse_lease()
        key = f"{run_context.dag_run_key(context)}/{lease.epoch}/{self.task_id}"
        began = rollout_status.database_time(self.engine)
        rollout.shift(
            self.engine,
            lease,
            weight=100 * self.percent,
            shadow_share=self.shadow_share,
            reason=f"{self.stage} at {self.percent or round(100 * self.shadow_share)} %",
            key=key,
        )
        # A repeated task goes on with the step that its first try began.
        since = (rollout_status.step_start(self.engine, key) or began).isoformat()
        if self.stage == "shadow":
            self._replay(lease.version, since)
        trigger = RolloutTrigger(
            use_case=self.use_case,
            version=lease.version,
            since=since,
            airworthy_conn_id=self.airworthy_conn_id,
            stage=self.stage if self.analysed else None,
            timeout=self.patience(LIVE_TIMEOUT).total_seconds(),
            lake_conn_id=self.lake_conn_id,
        )
        event = trigger.wait_inline(self.engine, INLINE_WAIT)
        if event is None:
            policy = catalog().use_cases[self.use_case].rollout
            self.log.info(
                "%s version %d, %s: waits until the challenger has answered what it can be sent in %s, "
                "%s requests, at most %s: bake, fewest_requests, minimum_requests and "
                "patience of `rollout` in the use case.",
                self.use_case,
                lease.version,
                self.task_id,
                policy.bake,
                _between(min(policy.fewest_requests, policy.minimum_requests), policy.minimum_requests),
                policy.patience,
            )
            self.defer(trigger=trigger, method_name="analyse_step", kwargs={"since": since})
        return self.analyse_step(context, event, since=since)

    def analyse_step(self, context: Context, event: dict[str, Any], since: str) -> dict[str, Any]:
        """
        Return the figures of the step.

        :param event: the event of the `RolloutTrigger`
        :param since: start of the step in ISO 8601
        :raises RolloutFailed: if the challenger is worse, had too little traffic, or is not live
        """
        from include.release.analysis.outcomes import describe_findings
        from include.release.rollout_status import analyse_stage, read_steering

        version = self.parse_lease().version
        if not self.analysed:
            self._require_live(context, event, version)
            return {}
        use_case = catalog().use_cases[self.use_case]
        began = datetime.fromisoformat(since)
        with self.engine.connect() as connection:
            losses = LossReader(LakeHook(self.lake_conn_id).lake).read(connection, use_case, version)
            analysis = analyse_stage(
                connection, use_case, version, since=began, stage=self.stage, losses=losses
            )
            steering = read_steering(connection, self.use_case, version)
        self.log.info(
            "%s version %d, %s: %s: %s. %s.",
            self.use_case,
            version,
            self.task_id,
            analysis.outcome,
            analysis.reason,
            describe_findings(analysis.figures),
        )
        if steering.skipped:
            self.log.warning("%s: a person declared the step passed; see the ledger", self.task_id)
            return analysis.figures
        self._require_live(context, event, version)
        # The evidence at the trigger's look counts, which a moment later may be a little less.
        outcome = event.get("outcome", analysis.outcome)
        reason = event.get("finding", analysis.reason)
        if analysis.outcome == "roll_back":
            outcome = analysis.outcome
            reason = analysis.reason
        if outcome == "inconclusive" and "outcome" in event:
            self._ask(context, reason, since)
        if outcome != "promote":
            raise self._failure(context, version, f"{outcome}: {reason}")
        return analysis.figures

    def decide(self, context: Context, event: dict[str, Any], since: str) -> dict[str, Any]:
        """
        Go on if a person said so and nothing has become worse meanwhile.

        :param event: the answer
        :param since: start of the step in ISO 8601
        :raises RolloutFailed: if a person rejected the challenger, or nobody answered in time
        """
        from include.database.ledger import Entry, append
        from include.release.rollout_status import analyse_stage, read_rollout_status

        lease = self.parse_lease()
        who = respondent(event)
        goes_on = event.get("chosen_options") == [GO_ON]
        key = f"{run_context.dag_run_key(context)}/{lease.epoch}/{self.task_id}/decision"
        reason = f"{self.task_id} was inconclusive, and {_describe_decision(event, goes_on=goes_on)}"
        verdict: Any = "approved" if goes_on else "rejected"
        use_case = catalog().use_cases[self.use_case]
        with self.engine.begin() as connection:
            append(connection, Entry(self.use_case, verdict, who, reason, lease.version, dedup_key=key))
            status = read_rollout_status(connection, self.use_case, lease.version)
            began = datetime.fromisoformat(since)
            losses = LossReader(LakeHook(self.lake_conn_id).lake).read(connection, use_case, lease.version)
            analysis = analyse_stage(
                connection, use_case, lease.version, since=began, stage=self.stage, losses=losses
            )
        if not goes_on:
            raise self._failure(context, lease.version, reason)
        self._require_live(context, {"live": status.live, "reason": status.reason}, lease.version)
        if analysis.outcome == "roll_back":
            raise self._failure(context, lease.version, f"{analysis.outcome}: {analysis.reason}")
        return analysis.figures

    def _replay(self, version: int, since: str) -> None:
        """Send logged requests to the challenger, if its use case declares it and it is live."""
        from include.release.replay import replay_requests, why_not_replayable

        use_case = catalog().use_cases[self.use_case]
        if not use_case.rollout.replay:
            return
        problem = why_not_replayable(use_case)
        trigger = RolloutTrigger(self.use_case, version, since, self.airworthy_conn_id)
        event = None if problem else trigger.wait_inline(self.engine, LIVE_WAIT)
        if event is None or not event["address"]:
            self.log.warning("%s: no request is replayed: %s", self.use_case, problem or "it is not live yet")
            return
        n_requests = replay_requests(self.engine, use_case, version, f"http://{event['address']}")
        self.log.info("%s version %d: %d logged requests replayed", self.use_case, version, n_requests)

    def _ask(self, context: Context, finding: str, since: str) -> NoReturn:
        """Ask a person whether the rollout goes on; without an answer within `patience` it does not."""
        version = self.parse_lease().version
        upsert_hitl_detail(
            ti_id=context["ti"].id,
            options=[GO_ON, ROLL_BACK],
            subject=f"{self.use_case} version {version}, {self.task_id}: inconclusive. Go on?",
            body=f"{finding}. The figures are in the log of the task.",
            defaults=[ROLL_BACK],
            params={REASON: reason_param().serialize()},
        )
        self.log.warning("%s: inconclusive: %s; waiting for a person", self.task_id, finding)
        patience = catalog().use_cases[self.use_case].rollout.patience
        raise TaskAwaitingInput(method_name="decide", kwargs={"since": since}, timeout=patience)

    def _require_live(self, context: Context, event: dict[str, Any], version: int) -> None:
        if not event["live"]:
            raise self._failure(context, version, f"inconclusive: {event['reason']}")

    def _failure(self, context: Context, version: int, reason: str) -> RolloutFailed:
        """Return the error, whose reason `restore` writes into the ledger."""
        context["ti"].xcom_push(FAILURE, reason)
        return RolloutFailed(
            f"{self.use_case} version {version} at {self.task_id}: {reason}. "
            "The task `restore` gives all traffic back to the champion."
        )


def _describe_decision(event: dict[str, Any], *, goes_on: bool) -> str:
    if respondent(event) == NO_ANSWER:
        return "there was no answer in time"
    did = "let it go on" if goes_on else "rolled it back"
    return describe_answer(event, did, needs_reason=not goes_on)


def _between(least: int, most: int) -> str:
    """Return a range of numbers as text."""
    return str(most) if least == most else f"between {least} and {most}"
