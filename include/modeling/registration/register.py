"""Certify a candidate that its gates let pass, and register it: one version, however often it is tried."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict
from importlib.metadata import version as version_of
from typing import TYPE_CHECKING

from include.certificates import certificate
from include.certificates.certificate import Claims, GateEvidence
from include.errors import CertificateInvalid, GateFailed, SettingsError
from include.inference import model as loading
from include.modeling.gates import MAX_PREDICTION_GAP, failed, inconclusive, report
from include.modeling.packaging import package
from include.modeling.pipeline.workspace import EVIDENCE
from include.modeling.registration import model_card
from include.modeling.registry.provenance import Provenance
from include.modeling.registry.registry import Logged, as_tags

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from include.modeling.evaluation.evidence import Evidence
    from include.modeling.gates import Verdict
    from include.modeling.pipeline.workspace import TrainedCandidate, Workspace
    from include.modeling.registry.registry import Registry


def record_verdicts(
    site: Workspace,
    candidate: TrainedCandidate,
    verdicts: Sequence[Verdict],
    evidence: Evidence | None = None,
) -> str:
    """
    Keep the verdicts with the run, where people look for them, and end it: nothing is measured after.

    Return the page that people read, as Markdown.
    """
    tags = {f"gate.{verdict.gate}": verdict.outcome for verdict in verdicts}
    site.registry.log(candidate.run_id, tags=as_tags(tags))
    page, data = report.write_report_files(site.workdir, site.use_case, evidence, verdicts)
    for path in (page, data):
        site.registry.log_file(candidate.run_id, path)
    site.registry.finish(candidate.run_id)
    return page.read_text()


def require_passed(
    candidate: TrainedCandidate, verdicts: Sequence[Verdict], approvals: Sequence[Mapping[str, str]] = ()
) -> None:
    """
    Let pass what every blocking gate let pass, or a person where a gate could not decide.

    An approval names the `gate` that it is about.

    :raises GateFailed: with the reason of every blocking gate that failed, or that nobody decided
    """
    approved = {approval.get("gate") for approval in approvals}
    open_questions = (verdict for verdict in inconclusive(verdicts) if verdict.gate not in approved)
    refused = (*failed(verdicts), *open_questions)
    if refused:
        reasons = "; ".join(f"{verdict.gate}: {verdict.outcome}: {verdict.reason}" for verdict in refused)
        raise GateFailed(
            f"{candidate.use_case} is not good enough: {reasons}. The champion stays. "
            f"See {report.MARKDOWN} and {EVIDENCE} of the MLflow run {candidate.run_id}."
        )


def register_candidate(
    site: Workspace,
    candidate: TrainedCandidate,
    verdicts: Sequence[Verdict],
    *,
    evidence: Evidence,
    provenance: Provenance,
    approvals: Sequence[Mapping[str, str]] = (),
) -> int:
    """
    Certify the candidate, load it as serving will, and return its version in the registry.

    :raises GateFailed: if a blocking gate refused it, or it answers otherwise when it is served
    :raises SettingsError: if it was trained on another snapshot than that of `provenance`
    """
    require_passed(candidate, verdicts, approvals)
    registry, name = site.registry, site.use_case.name
    provenance = training_provenance(registry, candidate, provenance)
    logged = registry.logged(candidate.run_id)
    seeds = json.loads(logged.tags.get("airworthy.seeds", "{}")) if logged else {}
    with registry.lock(f"certificate/{candidate.run_id}"):
        folder = registry.fetch(candidate.model_id, site.workdir / "certified")
        certificate.require_digest(folder, candidate.digest, f"the candidate of run {candidate.run_id}")
        if not _is_certified(folder, site.trusted):
            signed = registry.files_of(candidate.run_id, folder / certificate.EVIDENCE)
            for page in (model_card.MARKDOWN, model_card.HTML):  # of an earlier registration
                (signed / page).unlink(missing_ok=True)
            claims = _claims(site, candidate, verdicts, evidence, provenance)
            approved = tuple(dict(each) for each in approvals)
            claims = claims.model_copy(update={"approvals": approved, "seeds": seeds})
            path = folder / certificate.FILE_NAME
            path.write_bytes(
                certificate.issue_certificate(folder, claims, key_path=site.keys / "signing.pem")
            )
            registry.add_certificate(candidate.model_id, folder)
        _, gap = package.packaging_parity(folder, loading.load_model(folder, site.trusted, use_case=name))
        if gap > MAX_PREDICTION_GAP:
            raise GateFailed(f"{name}: served, it differs by {gap:.3g} from training. Not registered.")
        model = Logged(candidate.model_id, candidate.digest)
        gates = as_tags({f"gate.{verdict.gate}": verdict.outcome for verdict in verdicts})
        version = registry.register(name, candidate.run_id, model, _lineage(provenance) | gates)
        _publish_card(site, folder, version)
        return version


def _publish_card(site: Workspace, model: Path, version: int) -> None:
    about = certificate.verify_certificate(model, site.trusted, use_case=site.use_case.name)
    for path in model_card.write_model_card(model, about, site.use_case, version, site.workdir):
        site.registry.log_file(about.run_id, path)
    site.registry.describe(site.use_case.name, version, model_card.card_summary(about, site.use_case))


def _claims(
    site: Workspace,
    candidate: TrainedCandidate,
    verdicts: Sequence[Verdict],
    evidence: Evidence,
    provenance: Provenance,
) -> Claims:
    return Claims(
        use_case=site.use_case.name,
        snapshot=dict(provenance.snapshot),
        code_version=provenance.code_version,
        lock_hash=provenance.lock_hash,
        parameters=dict(provenance.parameters),
        run_id=candidate.run_id,
        metrics=dict(evidence.metrics["test"]),
        gates=tuple(GateEvidence(**asdict(verdict)) for verdict in verdicts),
        environment=_environment(),
    )


def _lineage(provenance: Provenance) -> dict[str, str]:
    of_code = {"code_version": provenance.code_version, "lock_hash": provenance.lock_hash}
    of_data = {f"snapshot.{name}": value for name, value in provenance.snapshot.items()}
    return as_tags(of_code | of_data | provenance.chosen)


def _is_certified(folder: Path, trusted: Path) -> bool:
    try:
        certificate.verify_certificate(folder, trusted)
    except CertificateInvalid:
        return False
    return True


def _environment() -> dict[str, str]:
    versions = {name: version_of(name) for name in package.REQUIREMENTS}
    return {"python": platform.python_version(), **versions}


def training_provenance(
    registry: Registry, candidate: TrainedCandidate, provenance: Provenance
) -> Provenance:
    """
    Return what the candidate was made from: the code may have been deployed anew since.

    :raises SettingsError: if it was not the snapshot of `provenance`
    """
    logged = registry.logged(candidate.run_id)
    tags = logged.tags if logged else {}
    code, lock = tags.get("airworthy.code_version", ""), tags.get("airworthy.lock_hash", "")
    parameters = json.loads(tags.get("airworthy.parameters", "{}"))
    found = Provenance(provenance.snapshot, code, lock, parameters)
    if tags.get("airworthy.inputs") != found.digest:
        raise SettingsError(
            f"The model of the MLflow run {candidate.run_id} was not trained on the snapshot that its "
            "certificate would name. Trigger a new DAG run."
        )
    return found
