"""Ask a person, where the environment wants one."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator

from airworthy import run_context
from airworthy.hooks.airworthy_database import AirworthyDatabaseHook
from include.catalog import catalog
from include.errors import GateFailed, RolloutFailed
from include.settings import settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context, XComArg


class ReleaseApprovalOperator(ApprovalOperator):
    """
    Wait for a person's approval in the environments that the rollout names; elsewhere pass at once.

    Whoever asked for the release may not approve it. The answer goes to the ledger.

    Example::

        ReleaseApprovalOperator(task_id="approve", use_case="flight_delay", lease=begin.output)

    :param use_case: a declared use case
    :param lease: what `BeginRolloutOperator` returned (templated)
    """

    template_fields: Sequence[str] = ("subject", "body", "lease")

    def __init__(
        self,
        *,
        use_case: str,
        lease: dict[str, Any] | XComArg,
        airworthy_conn_id: str = AirworthyDatabaseHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            subject=f"May {use_case} version {{{{ ti.xcom_pull('begin')['version'] }}}} fly?",
            body="Its certificate is beside the model in MLflow; `shadow` shows what it did so far.",
            **kwargs,
        )
        self.use_case = use_case
        self.lease: Any = lease
        self.airworthy_conn_id = airworthy_conn_id

    def execute(self, context: Context) -> Any:
        """Ask, or pass where nobody wants to be asked."""
        environment = settings().env
        if environment not in catalog().use_cases[self.use_case].rollout.approval:
            return f"{environment} asks for no approval"
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Record the answer; a rejection, or an approval by the requester, ends the rollout."""
        from include.database.ledger import Entry, append

        # ApprovalOperator itself would skip the tasks downstream, and say nothing to the ledger.
        answer = super(ApprovalOperator, self).execute_complete(context, event)
        who = (answer.get("responded_by_user") or {}).get("name") or "nobody"
        approved = answer["chosen_options"] == [self.APPROVE]
        requester = self.lease["actor"]
        verdict: Any = "approved" if approved and who != requester else "rejected"
        reason = (
            f"{who} requested it and may not approve it"
            if approved and who == requester
            else f"{who} decided"
        )
        key = f"{run_context.run_key(context)}/{self.lease['epoch']}/{self.task_id}"
        with AirworthyDatabaseHook(self.airworthy_conn_id).engine.begin() as connection:
            append(
                connection, Entry(self.use_case, verdict, who, reason, self.lease["version"], dedup_key=key)
            )
        if verdict == "rejected":
            raise RolloutFailed(
                f"{self.use_case} version {self.lease['version']} was not approved: {reason}."
            )
        return answer


class CandidateApprovalOperator(ApprovalOperator):
    """
    Ask a person about a candidate that a blocking gate could not decide on; pass where all is decided.

    The page of the gates is in front of whoever answers. Without an answer within `response_timeout` the
    candidate is refused. In the environments of the rollout's `approval`, whoever triggered the training may
    not approve it. The answer goes to the ledger; the XCom holds an approval for each gate.

    Example::

        CandidateApprovalOperator(task_id="approve", use_case="flight_delay", candidate=…, question=…)

    :param use_case: a declared use case
    :param candidate: what `TrainModelOperator` returned (templated)
    :param question: what `ModelGateOperator` returned (templated)
    """

    template_fields: Sequence[str] = ("subject", "body", "candidate", "question")

    def __init__(
        self,
        *,
        use_case: str,
        candidate: dict[str, Any] | XComArg,
        question: dict[str, Any] | XComArg | None,
        airworthy_conn_id: str = AirworthyDatabaseHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        patience: dict[str, Any] = {"response_timeout": timedelta(days=1), "defaults": self.REJECT}
        subject = f"{use_case}: a gate could not decide. May the candidate go on?"
        super().__init__(subject=subject, body="", **patience | kwargs)
        self.use_case = use_case
        self.candidate: Any = candidate
        self.question: Any = question
        self.airworthy_conn_id = airworthy_conn_id

    def execute(self, context: Context) -> Any:
        """Ask, or pass where there is nothing to ask."""
        if not self.question:
            return []
        self.body = self.question["page"]
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Record the answer; whatever is no valid approval ends the run."""
        from include.database.ledger import Entry, append

        # ApprovalOperator itself would succeed and skip the next task only: those after it could still run.
        answer = super(ApprovalOperator, self).execute_complete(context, event)
        who = (answer.get("responded_by_user") or {}).get("name") or "nobody"
        against = self._against(context, who, approved=answer["chosen_options"] == [self.APPROVE])
        verdict: Any = "rejected" if against else "approved"
        gates, run_id = self.question["gates"], self.candidate["run_id"]
        reason = f"{', '.join(gates)} undecided: {against or f'{who} approved'}"
        key = f"{run_context.run_key(context)}/{run_id}/{self.task_id}/{verdict}"
        about = {"run_id": run_id, "gates": gates, "attempt": self.question.get("attempt")}
        with AirworthyDatabaseHook(self.airworthy_conn_id).engine.begin() as connection:
            append(connection, Entry(self.use_case, verdict, who, reason, evidence=about, dedup_key=key))
        if against:
            raise GateFailed(
                f"{self.use_case}: the candidate was not approved: {reason}. The champion stays."
            )
        at = answer["responded_at"].isoformat()
        return [{"gate": gate, "by": who, "at": at, "reason": reason} for gate in gates]

    def _against(self, context: Context, who: str, *, approved: bool) -> str:
        """Return why an answer is no approval, or nothing."""
        from include.release import rollout

        if not approved:
            return f"{who} rejected it" if who != "nobody" else "nobody answered in time"
        policy = catalog().use_cases[self.use_case].rollout.approval
        if settings().env in policy and who == run_context.actor(context):
            return f"{who} requested it and may not approve it"
        with AirworthyDatabaseHook(self.airworthy_conn_id).engine.connect() as connection:
            champion = rollout.read_state(connection, self.use_case).champion
        if champion != self.question["champion"]:
            return f"it was not compared with version {champion}, the champion by now"
        return ""
