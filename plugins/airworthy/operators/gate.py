"""Stop a candidate that did not earn its release."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airworthy import run_context
from airworthy.operators.base import ModelOperator
from include.catalog import catalog

if TYPE_CHECKING:
    from airflow.sdk import Context


class ModelGateOperator(ModelOperator):
    """
    Put the evidence before every gate of the use case; fail if one that blocks says no.

    The XCom `verdicts` holds what each gate said, and a refusal stands in the ledger, before the task fails.
    Where one that blocks cannot decide, the XCom is the question for `CandidateApprovalOperator`; in a
    backfill nobody is asked, and the candidate is refused.

    Example::

        ModelGateOperator(task_id="gate", use_case="flight_delay", candidate=…, evidence=evaluate.output)

    :param use_case: a declared use case
    :param candidate: what `TrainModelOperator` returned (templated)
    :param evidence: what `EvaluateModelOperator` returned (templated)
    """

    def execute(self, context: Context) -> dict[str, Any] | None:
        """Return the question for a person, or nothing where all is decided."""
        from include.errors import GateFailed
        from include.modeling import gates
        from include.modeling.evaluation.evidence import Evidence
        from include.modeling.registration import register

        candidate, evidence = self.candidate_trained(), Evidence(**self.evidence)
        verdicts = gates.judge_gates(catalog().use_cases[self.use_case], evidence)
        with self.workspace() as site:
            page = register.record_verdicts(site, candidate, verdicts, evidence)
        said = [asdict(verdict) for verdict in verdicts]
        context["ti"].xcom_push("verdicts", said)
        to_ask = [] if run_context.is_backfill(context) else [v.gate for v in gates.inconclusive(verdicts)]
        try:
            register.require_passed(candidate, verdicts, [{"gate": gate} for gate in to_ask])
        except GateFailed as refusal:
            self._record_refusal(context, str(refusal), {"run_id": candidate.run_id, "gates": said})
            raise
        if not to_ask:
            return None
        champion = evidence.champion.version if evidence.champion else None
        return {"gates": to_ask, "page": page, "champion": champion, "attempt": self.attempt(context)}

    def _record_refusal(self, context: Context, reason: str, evidence: dict[str, Any]) -> None:
        from include.database.ledger import Entry, append

        key = f"{run_context.dag_run_key(context)}/{evidence['run_id']}/gate"
        evidence |= {"attempt": self.attempt(context), "backfill": run_context.is_backfill(context)}
        refusal = Entry(
            self.use_case, "refused", run_context.actor(context), reason, evidence=evidence, dedup_key=key
        )
        with self.engine.begin() as connection:
            append(connection, refusal)
