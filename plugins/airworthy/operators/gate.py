"""Stop a candidate that did not earn its release."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airworthy import runs
from airworthy.operators.training import ModelOperator
from include.catalog import catalog

if TYPE_CHECKING:
    from airflow.sdk import Context


class ModelGateOperator(ModelOperator):
    """
    Put the evidence before every gate of the use case; fail unless all that block let the candidate pass.

    The XCom `verdicts` holds what each gate said, and a refusal stands in the ledger, before the task fails.

    Example::

        ModelGateOperator(task_id="gate", use_case="flight_delay", candidate=…, evidence=evaluate.output)

    :param use_case: a declared use case
    :param candidate: what `TrainModelOperator` returned (templated)
    :param evidence: what `EvaluateModelOperator` returned (templated)
    """

    def execute(self, context: Context) -> None:
        """Return if the candidate may go on."""
        from include.errors import GateFailed
        from include.modeling import certification, gates
        from include.modeling.evidence import Evidence

        use_case, candidate = catalog().use_cases[self.use_case], self.candidate_trained()
        verdicts = gates.judge(use_case, Evidence(**self.evidence))
        with self.site() as site:
            certification.record(site, candidate, verdicts)
        said = [asdict(verdict) for verdict in verdicts]
        context["ti"].xcom_push("verdicts", said)
        try:
            certification.require(candidate, verdicts)
        except GateFailed as refusal:
            self._record_refusal(context, str(refusal), {"run_id": candidate.run_id, "gates": said})
            raise

    def _record_refusal(self, context: Context, reason: str, evidence: dict[str, Any]) -> None:
        from include.release.ledger import Entry, append

        key = f"{runs.run_key(context)}/{evidence['run_id']}/gate"
        refusal = Entry(
            self.use_case, "refused", runs.actor(context), reason, evidence=evidence, dedup_key=key
        )
        with self.engine.begin() as connection:
            append(connection, refusal)
