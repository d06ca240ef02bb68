"""Operators that begin a rollout, end it, and roll back to the previous champion."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from airworthy import run_context
from airworthy.operators.base import ReleaseOperator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context


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
        from include.modeling.registration.versions import require_compared
        from include.release import rollout

        version = run_context.candidate_version(context)
        with self.engine.connect() as connection:
            champion = rollout.read_state(connection, self.use_case).champion
        if champion == version:
            raise AirflowSkipException(f"{self.use_case} version {version} is the champion already.")
        certificate = self.verified(version)
        if not context["params"].get("version"):
            # A person who names a version decides.
            require_compared(certificate, version, champion)
        owner = run_context.dag_run_key(context)
        requester = run_context.requester(context)
        lease = rollout.begin(self.engine, self.use_case, version, owner=owner, actor=requester)
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

        version = self.parse_lease().version
        restored = rollout.restore(
            self.engine,
            self.use_case,
            version,
            owner=run_context.dag_run_key(context),
            actor=run_context.actor(context),
            reason="the rollout ended without a promotion",
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

    Example::

        RollBackOperator(task_id="roll_back", use_case="flight_delay", reason="{{ params.reason }}")

    :param use_case: a declared use case
    :param reason: reason for the ledger (templated)
    """

    template_fields: Sequence[str] = ("use_case", "reason")

    def __init__(self, *, reason: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reason = reason

    def execute(self, context: Context) -> int | None:
        """Return the version of the champion after the rollback."""
        from include.release import rollout

        state = rollout.roll_back(
            self.engine,
            self.use_case,
            actor=run_context.actor(context),
            reason=self.reason,
            key=run_context.dag_run_key(context),
        )
        self.show_aliases()
        self.log.info("%s: version %s is the champion again", self.use_case, state.champion)
        return state.champion
