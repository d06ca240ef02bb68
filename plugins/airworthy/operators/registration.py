"""Operator that certifies and registers a candidate."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from airworthy import run_context
from airworthy.lineage_events import ReportsLineage, model_version
from airworthy.links import CertificateLink, ModelCardLink, RegistryVersionLink
from airworthy.operators.base import ModelOperator, fails_run
from include.errors import GateFailed

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from airflow.sdk import BaseOperatorLink, Context, XComArg

    from include.modeling.evaluation.evidence import Evidence
    from include.modeling.gates import Verdict
    from include.modeling.pipeline.workspace import TrainedCandidate


class RegisterModelOperator(ReportsLineage, ModelOperator):
    """
    Certify and register a candidate that passed its gates; the XCom is its version.

    A retry finds the version that an earlier try created. If another version became the champion since the
    evaluation, the candidate is compared with that one first. An experiment is not registered: the task is
    skipped, also when a person starts it alone.

    Example::

        RegisterModelOperator(
            task_id="register", use_case="flight_delay", snapshot=…, candidate=…, evidence=…
        )

    :param use_case: a declared use case
    :param snapshot: what `TakeSnapshotOperator` returned (templated)
    :param candidate: what `TrainModelOperator` returned (templated)
    :param evidence: what `EvaluateModelOperator` returned (templated)
    :param refit: what `RefitModelOperator` returned (templated); without it, the candidate is registered
    :param approvals: what `CandidateApprovalOperator` returned (templated); without approvals, a candidate
        with an inconclusive blocking gate is refused
    """

    template_fields: Sequence[str] = (*ModelOperator.template_fields, "approvals", "refit")
    operator_extra_links: Collection[BaseOperatorLink] = (
        *ModelOperator.operator_extra_links,
        ModelCardLink(),
        CertificateLink(),
        RegistryVersionLink(),
    )

    def __init__(
        self,
        *,
        approvals: list[dict[str, str]] | XComArg | None = None,
        refit: str | XComArg | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.approvals: Any = approvals
        self.refit: Any = refit
        self.card_url = ""
        self.certificate_url = ""
        self.version_url = ""

    def execute(self, context: Context) -> int:
        """Register the candidate and return its version."""
        if run_context.experiment(context) is not None:
            raise AirflowSkipException("An experiment is not registered.")
        return self._register(context)

    @fails_run
    def _register(self, context: Context) -> int:
        from include.modeling import gates
        from include.modeling.evaluation.evidence import Evidence
        from include.modeling.registration import register
        from include.modeling.registry.provenance import current_provenance

        evidence = Evidence(**self.evidence)
        approvals = self.approvals or ()
        champion_changed = self._champion_changed(evidence)
        if champion_changed:
            evidence = self.evaluate(context)
            # A person approved figures of another comparison.
            approvals = ()
        verdicts = gates.judge_gates(self.specified_use_case(), evidence)
        if champion_changed:
            self._require_passed(context, verdicts, evidence)
        candidate, refit_verdicts = self._model_to_register()
        verdicts = (*verdicts, *refit_verdicts)
        provenance = current_provenance(json.loads(self.snapshot))
        with self.workspace() as site:
            version = register.register_candidate(
                site,
                candidate,
                verdicts,
                evidence=evidence,
                provenance=provenance,
                approvals=approvals,
                facts={
                    "ledger_hash": self._ledger_hash(),
                    "reason": run_context.training_reason(context),
                },
            )
        self.log.info("%s version %d is registered, with a signed certificate", self.use_case, version)
        self._set_links(candidate, version)
        facts = {"gates": [asdict(verdict) for verdict in verdicts], **evidence.ledger_facts}
        self._record(context, candidate, version, facts)
        self._finish(candidate, version, provenance.code_version)
        return version

    def _record(
        self, context: Context, candidate: TrainedCandidate, version: int, judged: dict[str, Any]
    ) -> None:
        """Write the registration to the ledger, with the reason for the training if there is one."""
        from include.database.ledger import Entry, append

        reason = run_context.training_reason(context)
        facts = {
            "run_id": candidate.run_id,
            "digest": candidate.digest,
            "attempt": self.attempt(context),
            **judged,
        }
        if reason:
            facts["reason"] = reason
        entry = Entry(
            self.use_case,
            "registered",
            run_context.actor(context),
            f"all blocking gates passed{f'; trained because of {reason}' if reason else ''}",
            version,
            facts,
            f"{run_context.dag_run_key(context)}/{candidate.run_id}/register",
        )
        with self.engine.begin() as connection:
            append(connection, entry)

    def _set_links(self, candidate: TrainedCandidate, version: int) -> None:
        from include.modeling.registration import model_card

        self.card_url = f"{self.mlflow.run_url(candidate.run_id)}/artifacts/{model_card.HTML}"
        self.certificate_url = self.mlflow.model_files_url(candidate.run_id, candidate.model_id)
        self.version_url = self.mlflow.version_url(self.use_case, version)

    def _model_to_register(self) -> tuple[TrainedCandidate, tuple[Verdict, ...]]:
        """Return the candidate, or its refit, and the verdicts about the refit."""
        from include.modeling.pipeline.refit import Refit

        if not self.refit:
            return self.candidate_trained(), ()
        refit = Refit.from_json(self.refit)
        return refit.candidate, refit.verdicts

    def _finish(self, candidate: TrainedCandidate, version: int, code_version: str) -> None:
        # An earlier try may have failed, and this one opened the run again.
        for run_id in {candidate.run_id, self.candidate["run_id"]}:
            self.mlflow.registry.finish(run_id)
        model = model_version(
            self.use_case,
            version,
            digest=candidate.digest,
            code_version=code_version,
            run_id=candidate.run_id,
        )
        self.report_lineage(inputs=self.snapshot_tables(self.snapshot_taken()), outputs=(model,))

    def _ledger_hash(self) -> str:
        """Return the hash of the newest entry about the use case, which the certificate will name."""
        from include.database.ledger_chain import newest_hash

        with self.engine.connect() as connection:
            return newest_hash(connection, self.use_case)

    def _champion_changed(self, evidence: Evidence) -> bool:
        """Return whether another model than that of the evaluation, or of this run, is the champion."""
        from include.release import rollout

        with self.engine.connect() as connection:
            champion = rollout.read_state(connection, self.use_case).champion
        compared = evidence.champion.version if evidence.champion else None
        if champion is None or champion == compared:
            return False
        tags = self.mlflow.registry.tags_of(self.use_case, champion)
        own_runs = {self.candidate["run_id"]}
        if self.refit:
            own_runs.add(json.loads(self.refit)["candidate"]["run_id"])
        if tags.get("airworthy.run_id") in own_runs:
            return False
        self.log.warning(
            "Version %d became the champion since the evaluation: the candidate is compared with it.",
            champion,
        )
        return True

    def _require_passed(self, context: Context, verdicts: Sequence[Verdict], evidence: Evidence) -> None:
        """
        Record the verdicts of a new comparison; if the candidate does not pass, raise GateFailed.

        A refusal is recorded in the ledger first. The files that are signed are those of this comparison.
        """
        from include.modeling.registration import register

        candidate = self.candidate_trained()
        with self.workspace() as site:
            register.record_verdicts(site, candidate, verdicts, evidence)
        try:
            register.require_passed(candidate, verdicts)
        except GateFailed as refusal:
            plain_verdicts = [asdict(verdict) for verdict in verdicts]
            facts = {"run_id": candidate.run_id, "gates": plain_verdicts, **evidence.ledger_facts}
            self.record_refusal(context, str(refusal), facts)
            raise
