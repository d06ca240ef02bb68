"""Ask a person, where the environment wants one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator

from airworthy import runs
from airworthy.hooks.airworthy_database import AirworthyDatabaseHook
from include.catalog import catalog
from include.errors import RolloutFailed
from include.stack.settings import settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context, XComArg


class ReleaseApprovalOperator(ApprovalOperator):
    """
    Wait for a person's approval in the environments that the rollout names; elsewhere pass at once.

    Whoever asked for the release may not approve it. The answer goes to the ledger.

    Example::

        ReleaseApprovalOperator(task_id="approve", use_case="flight_delay", hold=begin.output)

    :param use_case: a declared use case
    :param hold: what `BeginRolloutOperator` returned (templated)
    """

    template_fields: Sequence[str] = ("subject", "body", "hold")

    def __init__(
        self,
        *,
        use_case: str,
        hold: dict[str, Any] | XComArg,
        airworthy_conn_id: str = AirworthyDatabaseHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            subject=f"May {use_case} version {{{{ ti.xcom_pull('begin')['version'] }}}} fly?",
            body="Its certificate is beside the model in MLflow; `shadow` shows what it did so far.",
            **kwargs,
        )
        self.use_case = use_case
        self.hold: Any = hold
        self.airworthy_conn_id = airworthy_conn_id

    def execute(self, context: Context) -> Any:
        """Ask, or pass where nobody wants to be asked."""
        environment = settings().env
        if environment not in catalog().use_cases[self.use_case].rollout.approval:
            return f"{environment} asks for no approval"
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Record the answer; a rejection, or an approval by the requester, ends the rollout."""
        from include.release.ledger import Entry, append

        # ApprovalOperator itself would skip the tasks downstream, and say nothing to the ledger.
        answer = super(ApprovalOperator, self).execute_complete(context, event)
        who = (answer.get("responded_by_user") or {}).get("name") or "nobody"
        approved = answer["chosen_options"] == [self.APPROVE]
        requester = self.hold["actor"]
        verdict: Any = "approved" if approved and who != requester else "rejected"
        reason = (
            f"{who} requested it and may not approve it"
            if approved and who == requester
            else f"{who} decided"
        )
        key = f"{runs.run_key(context)}/{self.hold['epoch']}/{self.task_id}"
        with AirworthyDatabaseHook(self.airworthy_conn_id).engine.begin() as connection:
            append(
                connection, Entry(self.use_case, verdict, who, reason, self.hold["version"], dedup_key=key)
            )
        if verdict == "rejected":
            raise RolloutFailed(f"{self.use_case} version {self.hold['version']} was not approved: {reason}.")
        return answer
