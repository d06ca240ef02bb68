"""Move traffic to a challenger, and judge what it does with it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from airworthy import run_context
from airworthy.operators.base import ReleaseOperator
from airworthy.triggers.rollout import RolloutTrigger
from include.catalog import catalog
from include.errors import RolloutFailed

if TYPE_CHECKING:
    from airflow.sdk import Context

INLINE_WAIT = 2.0  # seconds that a step without a bake is awaited before it is left to the triggerer
ALONE = "there is no champion yet: nobody to compare with"


class ShiftTrafficOperator(ReleaseOperator):
    """
    Give the challenger a share of the requests, wait in the triggerer while it bakes, and judge it.

    The rollout's declaration says how long it bakes, how many requests count as enough, and what fails it.

    Example::

        ShiftTrafficOperator(task_id="canary_25", use_case="flight_delay", hold=begin.output, percent=25)
        ShiftTrafficOperator(task_id="shadow", use_case="flight_delay", hold=begin.output, shadow_share=1.0)

    :param use_case: a declared use case
    :param hold: what `BeginRolloutOperator` returned (templated)
    :param percent: share of the requests that the challenger answers
    :param shadow_share: share of the champion's requests that are copied to the challenger
    """

    def __init__(self, *, percent: int = 0, shadow_share: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.percent = percent
        self.shadow_share = shadow_share

    @property
    def stage(self) -> Literal["shadow", "canary"]:
        """What kind of step this is."""
        return "canary" if self.percent else "shadow"

    def execute(self, context: Context) -> str | dict[str, Any]:
        """Shift the traffic and wait in the triggerer; without a champion there is nothing to shift."""
        from include.release import rollout

        with self.engine.connect() as connection:
            champion = rollout.read_state(connection, self.use_case).champion
        return ALONE if champion is None else self._shift(context)

    def _shift(self, context: Context) -> dict[str, Any]:
        from include.release import rollout, rollout_status

        hold, policy = self.held(), catalog().use_cases[self.use_case].rollout
        since = rollout_status.now(self.engine)
        key = f"{run_context.run_key(context)}/{hold.epoch}/{self.task_id}"
        reason = f"{self.stage} at {self.percent or round(100 * self.shadow_share)} %"
        rollout.shift(
            self.engine,
            hold,
            weight=100 * self.percent,
            shadow_share=self.shadow_share,
            reason=reason,
            key=key,
        )
        trigger = RolloutTrigger(
            use_case=self.use_case,
            version=hold.version,
            since=since.isoformat(),
            airworthy_conn_id=self.airworthy_conn_id,
            patience=policy.patience.total_seconds(),
            bake=policy.bake.total_seconds(),
            stage=self.stage,
        )
        event = trigger.at_once(self.engine, INLINE_WAIT)
        if event is None:
            self.defer(trigger=trigger, method_name="judge", kwargs={"since": since.isoformat()})
        return self.judge(context, event, since=since.isoformat())

    def judge(self, context: Context, event: dict[str, Any], since: str) -> dict[str, Any]:
        """Return the figures of the step, or fail with what the challenger did worse."""
        from include.release.rollout_status import analyse_stage

        hold, use_case = self.held(), catalog().use_cases[self.use_case]
        began = datetime.fromisoformat(since)
        with self.engine.connect() as connection:
            verdict = analyse_stage(connection, use_case, hold.version, since=began, stage=self.stage)
        self.log.info("%s: %s %s", verdict.outcome, verdict.reason, verdict.figures)
        if not event["live"] or verdict.outcome != "promote":
            reason = verdict.reason if event["live"] else event["reason"]
            raise RolloutFailed(
                f"{self.use_case} version {hold.version} at {self.task_id}: {verdict.outcome}: {reason}. "
                "The champion gets all traffic back."
            )
        return verdict.figures
