"""Operators that begin a rollout, end it, and roll back to the previous champion."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from airworthy import run_context
from airworthy.operators.base import FAILURE, ReleaseOperator
from airworthy.triggers.rollout import RolloutTrigger
from include.errors import ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context


# The controller usually follows within one second.
INLINE_WAIT = 2.0  # seconds
LIVE_TIMEOUT = timedelta(minutes=3)


class BeginRolloutOperator(ReleaseOperator):
    """
    Verify the candidate's certificate and make the candidate the challenger of its use case.

    The XCom is a lease, which the other tasks of the rollout need. The task is skipped if the version is the
    champion already.

    Example::

        begin = BeginRolloutOperator(task_id="begin", use_case="flight_delay").as_setup()

    :param use_case: a declared use case
    """

    def execute(self, context: Context) -> dict[str, Any]:
        """Return the lease."""
        from include.database import ledger
        from include.modeling.registration.versions import require_compared
        from include.release import leases, rollout

        version = run_context.candidate_version(context)
        with self.engine.connect() as connection:
            ledger.require_version(connection, self.use_case, version)
            champion = rollout.read_state(connection, self.use_case).champion
        if champion == version:
            raise AirflowSkipException(f"{self.use_case} version {version} is the champion already.")
        certificate = self.verified(version)
        expected = None
        if not context["params"].get("version"):
            # A person who names a version decides.
            require_compared(certificate, version, champion)
            expected = champion
        owner = run_context.dag_run_key(context)
        requester = run_context.requester(context)
        leases.end_expired_rollout(self.engine, self.use_case, owner=owner, actor=requester)
        lease = rollout.begin(
            self.engine, self.use_case, version, owner=owner, actor=requester, expected=expected
        )
        self.log.info("%s version %d is the challenger, without traffic yet", self.use_case, version)
        return asdict(lease)


class RestoreChampionOperator(ReleaseOperator):
    """
    Give the champion all traffic and remove the challenger, unless the challenger was promoted.

    Example::

        RestoreChampionOperator(task_id="restore", use_case="flight_delay", lease=begin.output).as_teardown()

    :param use_case: a declared use case
    :param lease: the XCom of `BeginRolloutOperator` (templated)
    """

    def execute(self, context: Context) -> bool:
        """Return True if there was a challenger to remove."""
        from include.release import rollout

        lease = self.parse_lease()
        version = lease.version
        restored = rollout.restore(
            self.engine,
            lease,
            owner=run_context.dag_run_key(context),
            actor=run_context.actor(context),
            reason=_describe_end(context),
        )
        if restored:
            self.show_aliases()
            self.log.warning(
                "%s version %d was not promoted; the champion has all traffic", self.use_case, version
            )
        return restored


class RollBackOperator(ReleaseOperator):
    """
    Make the previous champion the champion again.

    The task succeeds when the gateway serves that version: until its server answers, the present champion
    keeps the traffic.

    Example::

        RollBackOperator(task_id="roll_back", use_case="flight_delay", reason="{{ params.reason }}")

    :param use_case: a declared use case
    :param reason: reason for the ledger (templated)
    :param version: version to roll back; empty for the champion, whichever it is (templated)
    """

    template_fields: Sequence[str] = ("use_case", "reason", "version")

    def __init__(self, *, reason: str, version: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reason = reason
        self.version = version

    def execute(self, context: Context) -> int | None:
        """Return the version of the champion after the rollback."""
        from include.release import rollout, rollout_status

        state = rollout.roll_back(
            self.engine,
            self.use_case,
            actor=run_context.actor(context),
            reason=self.reason,
            key=run_context.dag_run_key(context),
            version=int(self.version) if self.version else None,
        )
        self.show_aliases()
        self.log.info(
            "%s: version %s is the champion again; waiting for the gateway", self.use_case, state.champion
        )
        if state.champion is None:
            return None
        trigger = RolloutTrigger(
            use_case=self.use_case,
            version=state.champion,
            since=rollout_status.database_time(self.engine).isoformat(),
            airworthy_conn_id=self.airworthy_conn_id,
            timeout=self.patience(LIVE_TIMEOUT).total_seconds(),
        )
        event = trigger.wait_inline(self.engine, INLINE_WAIT)
        if event is None:
            self.defer(trigger=trigger, method_name="confirm_live", kwargs={"version": state.champion})
        return self.confirm_live(context, event, state.champion)

    def confirm_live(self, context: Context, event: dict[str, Any], version: int) -> int:
        """
        Return the version that is served now.

        :param event: the event of the `RolloutTrigger`
        :param version: the version that is the champion again
        :raises ServiceUnavailable: if the gateway does not serve the version yet
        """
        if not event["live"]:
            raise ServiceUnavailable(
                f"{self.use_case}: the rollback to version {version} is recorded, but the gateway does not "
                f"serve it: {event['reason']}. See the controller's log."
            )
        return version


def _describe_end(context: Context) -> str:
    """Return why a rollout ended: which tasks failed, and what they found. An aborted run has none."""
    failed = run_context.failed_tasks(context)
    if not failed:
        return "the rollout was aborted"
    findings = (context["ti"].xcom_pull(task_ids=task, key=FAILURE) for task in failed)
    return ": ".join([f"the rollout failed at {', '.join(failed)}", *filter(None, findings)])
