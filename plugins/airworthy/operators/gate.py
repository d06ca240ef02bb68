"""Operator of the promotion gates."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airworthy import run_context
from airworthy.operators.base import ModelOperator, fails_run

if TYPE_CHECKING:
    from airflow.sdk import Context


class ModelGateOperator(ModelOperator):
    """
    Judge the evidence by every gate of the use case; fail if a blocking gate fails.

    The XCom `verdicts` holds all verdicts, and the ledger the refusal, before the task fails. Where a
    blocking gate is inconclusive, the XCom is the question for `CandidateApprovalOperator`; in a backfill no
    person is asked, and the candidate is refused. An experiment is neither refused nor approved: its verdicts
    are recorded with its MLflow run only.

    Example::

        ModelGateOperator(task_id="gate", use_case="flight_delay", candidate=…, evidence=evaluate.output)

    :param use_case: a declared use case
    :param candidate: what `TrainModelOperator` returned (templated)
    :param evidence: what `EvaluateModelOperator` returned (templated)
    """

    @fails_run
    def execute(self, context: Context) -> dict[str, Any] | None:
        """Return the question for a person; None if no gate is inconclusive."""
        from include.errors import GateFailed
        from include.modeling import gates
        from include.modeling.evaluation.evidence import Evidence
        from include.modeling.registration import register

        candidate = self.candidate_trained()
        evidence = Evidence(**self.evidence)
        verdicts = gates.judge_gates(self.specified_use_case(), evidence)
        for verdict in verdicts:
            self.log.info("%s: %s (%s): %s", verdict.gate, verdict.outcome, verdict.severity, verdict.reason)
        with self.workspace() as workspace:
            page = register.record_verdicts(workspace, candidate, verdicts, evidence)
        plain_verdicts = [asdict(verdict) for verdict in verdicts]
        context["ti"].xcom_push("verdicts", plain_verdicts)
        if run_context.experiment(context) is not None:
            return None
        open_gates: list[str] = []
        if not run_context.is_backfill(context):
            open_gates = [verdict.gate for verdict in gates.inconclusive(verdicts)]
        try:
            register.require_passed(candidate, verdicts, [{"gate": gate} for gate in open_gates])
        except GateFailed as refusal:
            facts = {"run_id": candidate.run_id, "gates": plain_verdicts, **evidence.ledger_facts}
            self.record_refusal(context, str(refusal), facts)
            raise
        if not open_gates:
            return None
        return {
            "gates": open_gates,
            "page": page,
            "champion": evidence.champion.version if evidence.champion else None,
            "attempt": self.attempt(context),
        }
