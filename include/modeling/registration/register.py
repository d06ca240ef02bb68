"""Certification and registration of a candidate that passed its gates, as one version for all attempts."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from include.certificates import certificate
from include.certificates.certificate import Claims, GateEvidence
from include.declarations.specification import Specification
from include.errors import CertificateInvalid, ConflictError, GateFailed
from include.inference.model import load_model
from include.inference.start_check import packaging_parity, present_version
from include.inference.twin.compiled import describe_twin
from include.modeling.gates import failed, inconclusive, report
from include.modeling.packaging import package
from include.modeling.pipeline.workspace import EVIDENCE, describe_split
from include.modeling.registration import model_card
from include.modeling.registry.provenance import Provenance, tagged_sources
from include.modeling.registry.registry import ModelReference, as_tags
from include.specifications import SPECIFICATION

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
    Log the verdicts to the run of the candidate, and finish the run.

    Returns
    -------
    str
        Report of the gates as Markdown.
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
    Raise GateFailed if a blocking gate failed, or was inconclusive and not approved.

    Parameters
    ----------
    candidate
        Candidate of the verdicts.
    verdicts
        Verdicts of all gates.
    approvals
        Approvals of people; `gate` names the inconclusive gate that is approved.
    """
    approved = {approval.get("gate") for approval in approvals}
    not_approved = [verdict for verdict in inconclusive(verdicts) if verdict.gate not in approved]
    blocking = (*failed(verdicts), *not_approved)
    if blocking:
        reasons = "; ".join(f"{verdict.gate}: {verdict.outcome}: {verdict.reason}" for verdict in blocking)
        raise GateFailed(
            f"{candidate.use_case}: the candidate did not pass its gates: {reasons}. The champion stays. "
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
    facts: Mapping[str, str] | None = None,
) -> int:
    """
    Certify the candidate, load it like the model server, register it, and return its version.

    Parameters
    ----------
    provenance
        Provenance of this process; its snapshot must be that of the training.
    facts
        Further claims: `ledger_hash`, the newest of the use case, and the `reason` for the training.

    Raises
    ------
    GateFailed
        If the gates do not allow it, or the loaded model predicts differently from training.
    ConflictError
        If the candidate was trained on another snapshot.
    """
    require_passed(candidate, verdicts, approvals)
    registry = site.registry
    name = site.use_case.name
    provenance = training_provenance(registry, candidate, provenance)
    with registry.lock(f"certificate/{candidate.run_id}"):
        folder = registry.fetch_model(candidate.model_id, site.workdir / "certified")
        certificate.require_digest(folder, candidate.digest, f"the candidate of run {candidate.run_id}")
        if not _is_certified(folder, site.trusted):
            claims = _claims(site, candidate, folder, verdicts, evidence, provenance)
            signed = {"approvals": tuple(map(dict, approvals)), **(facts or {})}
            _certify(site, candidate, folder, claims.model_copy(update=signed))
        model = load_model(folder, site.trusted, use_case=name)
        _, gap, allowed = packaging_parity(folder, model)
        if gap > allowed:
            raise GateFailed(
                f"{name}: the loaded model differs by {gap:.3g} from training, so it is not registered. "
                "Check the packages of this environment and build_model()."
            )
        reference = ModelReference(candidate.model_id, candidate.digest)
        gates = as_tags({f"gate.{verdict.gate}": verdict.outcome for verdict in verdicts})
        version = registry.register(name, candidate.run_id, reference, _lineage_tags(provenance) | gates)
        _publish_card(site, folder, version)
        return version


def training_provenance(
    registry: Registry, candidate: TrainedCandidate, provenance: Provenance
) -> Provenance:
    """
    Return the provenance that was recorded in training, since the code may have been deployed anew since.

    Parameters
    ----------
    registry
        Registry of the candidate.
    candidate
        Trained candidate.
    provenance
        Provenance of this process; its snapshot must be that of the training.

    Raises
    ------
    ConflictError
        If the candidate was trained on another snapshot.
    """
    tags = _logged_tags(registry, candidate)
    recorded = Provenance(
        snapshot=provenance.snapshot,
        code_version=tags.get("airworthy.code_version", ""),
        lock_hash=tags.get("airworthy.lock_hash", ""),
        parameters=json.loads(tags.get("airworthy.parameters", "{}")),
        sources=tagged_sources(tags),
    )
    if tags.get("airworthy.inputs") != recorded.digest:
        raise ConflictError(
            f"The model of the MLflow run {candidate.run_id} was not trained on the snapshot that its "
            "certificate would name. Trigger a new DAG run."
        )
    return recorded


def _certify(site: Workspace, candidate: TrainedCandidate, folder: Path, claims: Claims) -> None:
    """Add the evidence of the run and a signed certificate to the model in `folder`, and upload both."""
    evidence = site.registry.fetch_files(candidate.run_id, folder / certificate.EVIDENCE)
    # A card of an earlier registration is no evidence.
    for page in (model_card.MARKDOWN, model_card.HTML):
        (evidence / page).unlink(missing_ok=True)
    content = certificate.issue_certificate(folder, claims, key_path=site.keys / "signing.pem")
    (folder / certificate.FILE_NAME).write_bytes(content)
    site.registry.add_certificate(candidate.model_id, folder)


def _publish_card(site: Workspace, model: Path, version: int) -> None:
    verified = certificate.verify_certificate(model, site.trusted, use_case=site.use_case.name)
    for path in model_card.write_model_card(model, verified, site.use_case, version, site.workdir):
        site.registry.log_file(verified.run_id, path)
    summary = model_card.card_summary(verified, site.use_case)
    site.registry.describe_version(site.use_case.name, version, summary)


def _claims(
    site: Workspace,
    candidate: TrainedCandidate,
    folder: Path,
    verdicts: Sequence[Verdict],
    evidence: Evidence,
    provenance: Provenance,
) -> Claims:
    tags = _logged_tags(site.registry, candidate)
    return Claims(
        use_case=site.use_case.name,
        snapshot=dict(provenance.snapshot),
        label=site.use_case.label.description,
        classes=site.use_case.class_names,
        split=describe_split(site.specification),
        code_version=provenance.code_version,
        lock_hash=provenance.lock_hash,
        parameters=dict(provenance.parameters),
        sources=dict(provenance.sources),
        seeds=json.loads(tags.get("airworthy.seeds", "{}")),
        refit=json.loads(tags.get("airworthy.refit", "{}")),
        decision=_decision_claim(site, evidence),
        run_id=candidate.run_id,
        metrics=dict(evidence.metrics["test"]),
        gates=tuple(GateEvidence(**asdict(verdict)) for verdict in verdicts),
        environment=_package_versions(folder),
        twin=describe_twin(folder),
    )


def _decision_claim(site: Workspace, evidence: Evidence) -> dict[str, Any]:
    """Return the rule that was chosen, on which rows, and its cost on the test rows with an interval."""
    costs = evidence.costs
    if costs is None or (costs.threshold is None and not costs.expected_costs):
        return {}
    if costs.threshold is not None:
        rule: dict[str, Any] = {"threshold": costs.threshold}
    else:
        names = site.use_case.class_names
        rule = {
            "expected_costs": {
                actual: dict(zip(names, row, strict=True))
                for actual, row in zip(names, costs.expected_costs, strict=True)
            }
        }
    return rule | {
        "answered": site.use_case.serving.decision,
        "chosen_on": f"{costs.chosen_on} rows",
        "currency": costs.currency,
        "test_cost_per_1000_rows": costs.model,
        "test_cost_interval": [costs.model_lower, costs.model_upper],
        "confidence": costs.confidence,
    }


def _logged_tags(registry: Registry, candidate: TrainedCandidate) -> Mapping[str, str]:
    logged = registry.logged_model(candidate.run_id)
    return logged.tags if logged else {}


def _lineage_tags(provenance: Provenance) -> dict[str, str]:
    code = {"code_version": provenance.code_version, "lock_hash": provenance.lock_hash}
    snapshot = dict(provenance.snapshot)
    joined = snapshot.pop("joined_versions", {})
    specification = snapshot.pop(SPECIFICATION, None)
    data = {f"snapshot.{name}": value for name, value in snapshot.items()}
    data |= {f"snapshot.joined_versions.{table}": version for table, version in joined.items()}
    if specification is not None:
        # Too long for a tag: it stands in the certificate.
        data["snapshot.specification"] = Specification.read(specification).digest
    return as_tags(code | data | provenance.parameter_tags)


def _is_certified(folder: Path, trusted: Path) -> bool:
    try:
        certificate.verify_certificate(folder, trusted)
    except CertificateInvalid:
        return False
    return True


def _package_versions(folder: Path) -> dict[str, str]:
    """Return the versions of Python and of the packages that the model imports, as they were packaged."""
    versions = {name: present_version(name) for name in ("python", *package.REQUIREMENTS)}
    for requirement in (folder / "requirements.txt").read_text().splitlines():
        name, _, version = requirement.partition("==")
        if version:
            versions[name] = version
    return versions
