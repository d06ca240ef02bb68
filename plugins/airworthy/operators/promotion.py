"""Operator that makes a challenger the champion."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airworthy import run_context
from airworthy.operators.base import ReleaseOperator
from airworthy.triggers.rollout import RolloutTrigger
from include.catalog import catalog
from include.errors import ServiceUnavailable
from include.release.strategies import strategy_of
from include.settings import settings

if TYPE_CHECKING:
    from airflow.sdk import Context

# The controller usually follows within one second.
INLINE_WAIT = 2.0  # seconds
LIVE_TIMEOUT = timedelta(minutes=3)


class PromoteModelOperator(ReleaseOperator):
    """
    Verify the version's certificate again, make it the champion, and wait until the gateway serves it.

    Where `rollout.approval` asks for an approval, the ledger must have one of this run.

    The MLflow aliases `champion`, `challenger` and `previous` are updated from the desired state.

    Example::

        PromoteModelOperator(task_id="promote", use_case="flight_delay", lease=begin.output)

    :param use_case: a declared use case
    :param lease: the XCom of `BeginRolloutOperator` (templated)
    """

    def execute(self, context: Context) -> int:
        """Promote the version, and wait until it is live, in the triggerer if that takes long."""
        from include.database import ledger
        from include.release import rollout, rollout_status

        lease = self.parse_lease()
        if settings().env in catalog().use_cases[self.use_case].rollout.approval:
            # A rejected approval task may be marked as successful, and the tasks after it run.
            with self.engine.connect() as connection:
                ledger.require_approved(
                    connection, self.use_case, lease.version, run=run_context.dag_run_key(context)
                )
        certificate = self.verified(lease.version)
        evidence = {"certificate": certificate.model_digest, "run": certificate.run_id}
        policy = catalog().use_cases[self.use_case].rollout
        rollout.promote(
            self.engine,
            lease,
            reason="every step of the rollout passed",
            evidence=evidence | {"strategy": policy.strategy},
            needs_traffic=strategy_of(policy).needs_traffic,
        )
        self.show_aliases()
        self.log.info("%s version %d is the champion; waiting for the gateway", self.use_case, lease.version)
        trigger = RolloutTrigger(
            use_case=self.use_case,
            version=lease.version,
            since=rollout_status.database_time(self.engine).isoformat(),
            airworthy_conn_id=self.airworthy_conn_id,
            timeout=self.patience(LIVE_TIMEOUT).total_seconds(),
        )
        event = trigger.wait_inline(self.engine, INLINE_WAIT)
        if event is None:
            self.defer(trigger=trigger, method_name="confirm_live")
        return self.confirm_live(context, event)

    def confirm_live(self, context: Context, event: dict[str, Any]) -> int:
        """
        Return the version that is served now.

        :param event: the event of the `RolloutTrigger`
        :raises ServiceUnavailable: if the gateway does not serve the version yet
        """
        if not event["live"]:
            raise ServiceUnavailable(
                f"{self.use_case}: the promotion is recorded, but the gateway does not serve it: "
                f"{event['reason']}. See the controller's log."
            )
        return self.parse_lease().version
