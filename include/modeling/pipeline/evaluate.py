"""Evaluation of a packaged candidate and the champion on the same test rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from include.certificates import certificate
from include.inference.model import load_unverified
from include.modeling.evaluation.context import ChampionScores, build_context, predict_checked, sample
from include.modeling.evaluation.isolated_process import isolated_predictor
from include.modeling.evaluation.plots import draw_evaluation
from include.modeling.explainability.importance import write_importance
from include.modeling.gates.mandatory import PARITY_ROWS
from include.modeling.pipeline.collect_evidence import collect_evidence
from include.modeling.pipeline.workspace import EVIDENCE, SEEN_ROWS, row_identities, split_snapshot
from include.modeling.registry.load_version import load_version
from include.modeling.training.fit import feature_columns

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt
    import pandas as pd

    from include.data.snapshots.leakage_history import LeakageRecord
    from include.modeling.evaluation.evidence import Evidence
    from include.modeling.evaluation.isolated_process import StartPrediction, WaitForMeasurement
    from include.modeling.pipeline.workspace import TrainedCandidate, Workspace

    RowIdentities = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class LoadedChampion:
    """The champion's predictions of the test rows, and what else an evaluation needs of it."""

    scores: ChampionScores
    seen_rows: RowIdentities | None
    isolated: WaitForMeasurement | None


def evaluate_candidate(
    workspace: Workspace,
    candidate: TrainedCandidate,
    frame: pd.DataFrame,
    *,
    champion_version: int | None = None,
    refusals: int = 0,
    leakage: LeakageRecord | None = None,
) -> Evidence:
    """
    Measure the packaged candidate and the champion on the same test rows, and log the evidence.

    Parameters
    ----------
    workspace : Workspace
    candidate : TrainedCandidate
    frame : DataFrame
        Rows of the snapshot that the candidate was trained on.
    champion_version : int or None
        Version to compare with.
    refusals : int
        Failed attempts since the last promotion.
    leakage : LeakageRecord or None
        What the features' own checks found on the snapshot's days.

    Raises
    ------
    CertificateInvalid
        If the files of the candidate or of the champion were exchanged; none of them is loaded then.
    ModelError
        If a model raises, or returns something that is no prediction.
    ServiceUnavailable
        If the registry, memory, disk or the machine's time failed.
    """
    use_case = workspace.use_case
    splits = split_snapshot(use_case, frame)
    parity_rows = feature_columns(use_case, sample(splits.test, PARITY_ROWS))
    with isolated_predictor(parity_rows) as start_isolated:
        package = workspace.registry.fetch_model(candidate.model_id, workspace.workdir / "candidate")
        # Once for both processes that load the model.
        certificate.require_digest(package, candidate.digest, f"the candidate of run {candidate.run_id}")
        isolated = start_isolated(package)
        champion = None
        if champion_version is not None:
            champion = _load_champion(workspace, champion_version, splits.test, start_isolated)
        context = build_context(
            use_case,
            load_unverified(package),
            package,
            splits,
            champion=champion.scores if champion else None,
            isolated=isolated,
            champion_isolated=champion.isolated if champion else None,
        )
        plots = draw_evaluation(context, workspace.workdir)
        importance = write_importance(use_case, context.model, splits.test, workspace.workdir)
        test_rows = row_identities(use_case, splits.test)
        seen_rows = row_identities(use_case, splits.train, splits.validation)
        evidence = collect_evidence(
            context,
            overlap=_count_common(test_rows, seen_rows),
            champion_overlap=_champion_overlap(test_rows, champion),
            refusals=refusals,
            leakage=leakage,
        )
    _log_evidence(workspace, candidate, evidence, [*plots, *importance])
    return evidence


def _load_champion(
    workspace: Workspace, version: int, test: pd.DataFrame, start_isolated: StartPrediction
) -> LoadedChampion:
    """Return the champion with its predictions of the test rows; measure its cost if a gate compares it."""
    use_case = workspace.use_case
    package = workspace.workdir / "champion"
    loaded = load_version(
        workspace.registry, use_case.name, version, folder=package, trusted=workspace.trusted
    )
    isolated = None
    if any(gate.kind == "budget" and gate.compares for gate in use_case.gates):
        isolated = start_isolated(package)
    predictions = predict_checked(use_case, loaded.model, test)
    # Part of the certified evidence, so that it cannot be shortened.
    file = package / certificate.EVIDENCE / SEEN_ROWS
    seen_rows = np.load(file) if file.exists() else None
    return LoadedChampion(ChampionScores(version, loaded.model, package, predictions), seen_rows, isolated)


def _champion_overlap(test_rows: RowIdentities, champion: LoadedChampion | None) -> int | None:
    """Return how many test rows the champion was trained on; None if its training rows are unknown."""
    if champion is None or champion.seen_rows is None:
        return None
    return _count_common(test_rows, champion.seen_rows)


def _count_common(rows: RowIdentities, others: RowIdentities) -> int:
    return int(np.isin(rows, others).sum())


def _log_evidence(
    workspace: Workspace, candidate: TrainedCandidate, evidence: Evidence, files: list[Path]
) -> None:
    """Log metrics, evidence and files with the candidate's run."""
    metrics: dict[str, float] = {}
    for split, values in {**evidence.metrics, "baseline": evidence.baseline}.items():
        metrics |= {f"{split}.{metric}": value for metric, value in values.items()}
    if evidence.skill is not None:
        metrics["test.skill"] = evidence.skill
    if evidence.costs is not None:
        metrics |= {"test.cost": evidence.costs.model, "test.saved": evidence.costs.saved}
    workspace.registry.log(candidate.run_id, metrics=metrics)
    path = workspace.workdir / EVIDENCE
    path.write_text(evidence.model_dump_json(indent=1))
    for file in (path, *files):
        workspace.registry.log_file(candidate.run_id, file)
