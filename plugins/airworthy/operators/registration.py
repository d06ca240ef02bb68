"""Operator that certifies and registers a candidate."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airworthy import run_context
from airworthy.links import MlflowRunLink, ModelCardLink
from airworthy.operators.base import ModelOperator
from include.catalog import catalog

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from airflow.sdk import BaseOperatorLink, Context, XComArg


class RegisterModelOperator(ModelOperator):
    """
    Certify and register a candidate that passed its gates; the XCom is its version.

    A retry finds the version that an earlier try created.

    Example::

        RegisterModelOperator(
            task_id="register", use_case="flight_delay", snapshot=…, candidate=…, evidence=…
        )

    :param use_case: a declared use case :param snapshot: what `TakeSnapshotOperator` returned (templated)
    :param candidate: what `TrainModelOperator` returned (templated) :param evidence: what
    `EvaluateModelOperator` returned (templated) :param approvals: what `CandidateApprovalOperator` returned
    (templated); without approvals, a candidate with
        an inconclusive blocking gate is refused
    """

    template_fields: Sequence[str] = (*ModelOperator.template_fields, "approvals")
    operator_extra_links: Collection[BaseOperatorLink] = (MlflowRunLink(), ModelCardLink())

    def __init__(self, *, approvals: list[dict[str, str]] | XComArg | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.approvals: Any = approvals
        self.card_url = ""

    def execute(self, context: Context) -> int:
        """Register the candidate and return its version."""
        from include.database.ledger import Entry, append
        from include.modeling import gates
        from include.modeling.evaluation.evidence import Evidence
        from include.modeling.registration import model_card, register
        from include.modeling.registry.provenance import current_provenance

        candidate = self.candidate_trained()
        evidence = Evidence(**self.evidence)
        verdicts = gates.judge_gates(catalog().use_cases[self.use_case], evidence)
        with self.workspace() as site:
            version = register.register_candidate(
                site,
                candidate,
                verdicts,
                evidence=evidence,
                provenance=current_provenance(json.loads(self.snapshot)),
                approvals=self.approvals or (),
            )
        self.card_url = f"{self.evidence_url}/artifacts/{model_card.HTML}"
        entry = Entry(
            self.use_case,
            "registered",
            run_context.actor(context),
            "all blocking gates passed",
            version,
            {
                "run_id": candidate.run_id,
                "digest": candidate.digest,
                "attempt": self.attempt(context),
                "gates": [asdict(verdict) for verdict in verdicts],
            },
            f"{run_context.dag_run_key(context)}/{candidate.run_id}/register",
        )
        with self.engine.begin() as connection:
            append(connection, entry)
        return version
