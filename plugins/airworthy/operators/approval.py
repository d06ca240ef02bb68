"""Operators that wait for the approval of a person."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk.exceptions import AirflowSkipException
from airflow.sdk.execution_time.hitl import HITLUser

from airworthy import run_context
from airworthy.answers import NO_ANSWER, REASON, describe_answer, reason_param, respondent
from airworthy.hooks.airworthy_database import AirworthyDatabaseHook
from airworthy.hooks.model_registry import ModelRegistryHook
from airworthy.links import ModelPageLink
from include.catalog import catalog
from include.errors import GateFailed, RolloutFailed
from include.settings import settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context, XComArg


class ReleaseApprovalOperator(ApprovalOperator):
    """
    Wait for the approval of a release in the environments that `rollout.approval` names; elsewhere succeed at
    once.

    The question shows the results of the shadow step, the certificate and the model card. Only the users in
    `rollout.approvers` may answer, if there are any, and the person who requested the release may not approve
    it. Without an answer within `rollout.approval_timeout` it is rejected. The answer is recorded in the
    ledger, where `PromoteModelOperator` looks for it.

    Example::

        ReleaseApprovalOperator(task_id="approve", use_case="flight_delay", lease=begin.output)

    :param use_case: a declared use case
    :param lease: what `BeginRolloutOperator` returned (templated)
    """

    template_fields: Sequence[str] = ("subject", "body", "lease")
    operator_extra_links = (ModelPageLink(),)

    def __init__(
        self,
        *,
        use_case: str,
        lease: dict[str, Any] | XComArg,
        airworthy_conn_id: str = AirworthyDatabaseHook.default_conn_name,
        mlflow_conn_id: str = ModelRegistryHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        subject = f"Approve the release of {use_case} version {{{{ ti.xcom_pull('begin')['version'] }}}}?"
        form: dict[str, Any] = {"defaults": self.REJECT, "params": {REASON: reason_param()}}
        super().__init__(subject=subject, body="", **form | kwargs)
        self.use_case = use_case
        self.lease: Any = lease
        self.airworthy_conn_id = airworthy_conn_id
        self.mlflow_conn_id = mlflow_conn_id

    def execute(self, context: Context) -> Any:
        """Ask for the approval where the environment requires it."""
        from include.modeling.registration.approval_page import approval_page

        environment = settings().env
        use_case = catalog().use_cases[self.use_case]
        if environment not in use_case.rollout.approval:
            return f"{environment} requires no approval"
        self.response_timeout = use_case.rollout.approval_timeout
        self.assigned_users = [HITLUser(id=name, name=name) for name in use_case.rollout.approvers]
        engine = AirworthyDatabaseHook(self.airworthy_conn_id).engine
        self.body = approval_page(
            ModelRegistryHook(self.mlflow_conn_id, engine=engine).registry,
            use_case,
            self.lease["version"],
            trusted=settings().trusted_keys,
            shadow=context["ti"].xcom_pull(task_ids="shadow"),
        )
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Record the answer; a rejection, or an approval by the wrong person, fails the rollout."""
        from include.database.ledger import Entry, append

        # ApprovalOperator itself would skip the downstream tasks, and would not write to the ledger.
        answer = super(ApprovalOperator, self).execute_complete(context, event)
        who = respondent(answer)
        objection = self._objection(answer, who)
        verdict: Any = "rejected" if objection else "approved"
        reason = objection or describe_answer(answer, "approved it", needs_reason=False)
        version = self.lease["version"]
        run = run_context.dag_run_key(context)
        key = f"{run}/{self.lease['epoch']}/{self.task_id}"
        entry = Entry(self.use_case, verdict, who, reason, version, {"run": run}, key)
        with AirworthyDatabaseHook(self.airworthy_conn_id).engine.begin() as connection:
            append(connection, entry)
        if objection:
            raise RolloutFailed(f"{self.use_case} version {version} was not approved: {reason}.")
        return answer

    def _objection(self, answer: Mapping[str, Any], who: str) -> str:
        """Return why the answer is no valid approval; empty if it is one."""
        approvers = catalog().use_cases[self.use_case].rollout.approvers
        if who == NO_ANSWER:
            return "there was no answer in time"
        if answer["chosen_options"] != [self.APPROVE]:
            return describe_answer(answer, "rejected it", needs_reason=True)
        if who == self.lease["actor"]:
            return f"{who} requested it and may not approve it"
        if approvers and who not in approvers:
            return f"{who} is not among the approvers {', '.join(approvers)}"
        return ""


class CandidateApprovalOperator(ApprovalOperator):
    """
    Wait for the approval of a candidate with an inconclusive blocking gate; without one, succeed at once.

    Of an experiment, this task and all that follow are skipped.

    The form shows the report of the gates. Without an answer within `response_timeout` the candidate is
    rejected. In the environments that `rollout.approval` names, and where the risk is high, the person who
    triggered the training may not approve it. The answer is recorded in the ledger; the XCom holds an
    approval for each gate.

    Example::

        CandidateApprovalOperator(task_id="approve", use_case="flight_delay", candidate=…, question=…)

    :param use_case: a declared use case
    :param candidate: what `TrainModelOperator` returned (templated)
    :param question: what `ModelGateOperator` returned (templated)
    """

    template_fields: Sequence[str] = ("subject", "body", "candidate", "question")
    operator_extra_links = (ModelPageLink(),)

    def __init__(
        self,
        *,
        use_case: str,
        candidate: dict[str, Any] | XComArg,
        question: dict[str, Any] | XComArg | None,
        airworthy_conn_id: str = AirworthyDatabaseHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        form: dict[str, Any] = {"defaults": self.REJECT, "params": {REASON: reason_param()}}
        timeout = {"response_timeout": timedelta(days=1)}
        subject = f"{use_case}: a blocking gate is inconclusive. Approve the candidate?"
        super().__init__(subject=subject, body="", **form | timeout | kwargs)
        self.use_case = use_case
        self.candidate: Any = candidate
        self.question: Any = question
        self.airworthy_conn_id = airworthy_conn_id

    def execute(self, context: Context) -> Any:
        """Ask for the approval if a gate is inconclusive."""
        if run_context.experiment(context) is not None:
            raise AirflowSkipException("An experiment is neither approved nor registered.")
        if not self.question:
            return []
        self.body = self.question["page"]
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Record the answer; without a valid approval the task fails."""
        from include.database.ledger import Entry, append

        # ApprovalOperator itself would succeed and skip only the next task; later ones could still run.
        answer = super(ApprovalOperator, self).execute_complete(context, event)
        who = respondent(answer)
        objection = self._objection(context, answer, who)
        verdict: Any = "rejected" if objection else "approved"
        gates = self.question["gates"]
        run_id = self.candidate["run_id"]
        decision = objection or describe_answer(answer, "approved it", needs_reason=False)
        reason = f"{', '.join(gates)} inconclusive: {decision}"
        key = f"{run_context.dag_run_key(context)}/{run_id}/{self.task_id}/{verdict}"
        evidence = {"run_id": run_id, "gates": gates, "attempt": self.question.get("attempt")}
        with AirworthyDatabaseHook(self.airworthy_conn_id).engine.begin() as connection:
            append(connection, Entry(self.use_case, verdict, who, reason, evidence=evidence, dedup_key=key))
        if objection:
            raise GateFailed(
                f"{self.use_case}: the candidate was not approved: {reason}. The champion stays."
            )
        at = answer["responded_at"].isoformat()
        return [{"gate": gate, "by": who, "at": at, "reason": reason} for gate in gates]

    def _objection(self, context: Context, answer: Mapping[str, Any], who: str) -> str:
        """Return why the answer is no valid approval; empty if it is one."""
        from include.release import rollout

        if who == NO_ANSWER:
            return "there was no answer in time"
        if answer["chosen_options"] != [self.APPROVE]:
            return describe_answer(answer, "rejected it", needs_reason=True)
        use_case = catalog().use_cases[self.use_case]
        is_high = use_case.risk is not None and use_case.risk.level == "high"
        needs_other = is_high or settings().env in use_case.rollout.approval
        if needs_other and who == run_context.actor(context):
            return f"{who} requested it and may not approve it"
        with AirworthyDatabaseHook(self.airworthy_conn_id).engine.connect() as connection:
            champion = rollout.read_state(connection, self.use_case).champion
        if champion != self.question["champion"]:
            return f"it was not compared with version {champion}, which is the champion now"
        return ""
