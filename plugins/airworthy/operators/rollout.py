"""Begin and end a rollout: between the two, one attempt owns the use case."""

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
    Verify the candidate's certificate and take the use case for its rollout; the XCom is the hold.

    Skips the rollout of a version that is the champion already.

    Example::

        begin = BeginRolloutOperator(task_id="begin", use_case="flight_delay").as_setup()

    :param use_case: a declared use case
    """

    def execute(self, context: Context) -> dict[str, Any]:
        """Return the hold."""
        from include.release import rollout

        version = run_context.candidate_version(context)
        with self.engine.connect() as connection:
            if rollout.read_state(connection, self.use_case).champion == version:
                raise AirflowSkipException(f"{self.use_case} version {version} is the champion already.")
        self.verified(version)
        owner, actor = run_context.run_key(context), run_context.requester(context)
        return asdict(rollout.begin(self.engine, self.use_case, version, owner=owner, actor=actor))


class RestoreChampionOperator(ReleaseOperator):
    """
    Unless the challenger was promoted, give the champion all traffic back and retire the challenger.

    Example::

        RestoreChampionOperator(task_id="restore", use_case="flight_delay", hold=begin.output).as_teardown()

    :param use_case: a declared use case
    :param hold: what `BeginRolloutOperator` returned (templated)
    """

    def execute(self, context: Context) -> bool:
        """Return whether there was a challenger to retire."""
        from include.release import rollout

        reason = "the rollout ended without a promotion"
        owner, actor, version = run_context.run_key(context), run_context.actor(context), self.held().version
        retired = rollout.restore(
            self.engine, self.use_case, version, owner=owner, actor=actor, reason=reason
        )
        if retired:
            self.show_aliases()
        return retired


class RollBackOperator(ReleaseOperator):
    """
    Make the previous champion the champion again.

    Example::

        RollBackOperator(task_id="roll_back", use_case="flight_delay", reason="{{ params.reason }}")

    :param use_case: a declared use case
    :param reason: why, for the ledger (templated)
    """

    template_fields: Sequence[str] = ("use_case", "reason")

    def __init__(self, *, reason: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reason = reason

    def execute(self, context: Context) -> int | None:
        """Return the version that is the champion now."""
        from include.release import rollout

        key, actor = run_context.run_key(context), run_context.actor(context)
        state = rollout.roll_back(self.engine, self.use_case, actor=actor, reason=self.reason, key=key)
        self.show_aliases()
        return state.champion
