"""Make a challenger the champion."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airworthy.operators.base import ReleaseOperator
from airworthy.triggers.rollout import RolloutTrigger
from include.errors import ServiceUnavailable

if TYPE_CHECKING:
    from airflow.sdk import Context

INLINE_WAIT = 2.0  # seconds; the controller follows within one, or something is wrong


class PromoteModelOperator(ReleaseOperator):
    """
    Verify the version once more, make the challenger the champion, and wait until it answers callers.

    MLflow's aliases `champion`, `challenger` and `previous` follow what the ledger says.

    Example::

        PromoteModelOperator(task_id="promote", use_case="flight_delay", hold=begin.output)

    :param use_case: a declared use case
    :param hold: what `BeginRolloutOperator` returned (templated)
    """

    def execute(self, context: Context) -> int:
        """Switch, then wait until it is live, in the triggerer if that takes long."""
        from include.release import rollout, rollout_status

        hold = self.held()
        certificate = self.verified(hold.version)
        evidence = {"certificate": certificate.model_digest, "run": certificate.run_id}
        rollout.promote(self.engine, hold, reason="every step of the rollout passed", evidence=evidence)
        self.show_aliases()
        trigger = RolloutTrigger(
            use_case=self.use_case,
            version=hold.version,
            since=rollout_status.now(self.engine).isoformat(),
            airworthy_conn_id=self.airworthy_conn_id,
            patience=timedelta(minutes=3).total_seconds(),
        )
        event = trigger.at_once(self.engine, INLINE_WAIT)
        if event is None:
            self.defer(trigger=trigger, method_name="promoted")
        return self.promoted(context, event)

    def promoted(self, context: Context, event: dict[str, Any]) -> int:
        """Return the version that answers callers now."""
        if not event["live"]:
            raise ServiceUnavailable(
                f"{self.use_case}: the promotion is recorded, but the gateway does not follow: "
                f"{event['reason']}. See the controller's log."
            )
        return self.held().version
