"""Evaluation of a packaged candidate and the champion on the same test rows."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from include.certificates.certificate import require_digest
from include.inference.model import load_unverified
from include.modeling.evaluation.context import DataHistory, PackagedModel, build_context, sample
from include.modeling.evaluation.injected_anomalies import with_injected_anomalies
from include.modeling.evaluation.isolated_process import isolated_predictor
from include.modeling.evaluation.plots import draw_evaluation
from include.modeling.explainability.importance import importance, write_importance
from include.modeling.gates.mandatory import PARITY_ROWS
from include.modeling.pipeline.champion import load_champion
from include.modeling.pipeline.collect_evidence import collect_evidence
from include.modeling.pipeline.suspected_labels import shortened, suspected_labels, write_suspects
from include.modeling.pipeline.workspace import EVIDENCE, count_overlaps, split_snapshot
from include.modeling.training.fit import feature_columns
from include.storage.progress import timed_step

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from include.data.snapshots.splits import Splits
    from include.modeling.evaluation.context import ChampionInput, EvaluationContext
    from include.modeling.evaluation.evidence import Evidence
    from include.modeling.evaluation.isolated_process import StartPrediction
    from include.modeling.pipeline.champion import ReadRows
    from include.modeling.pipeline.workspace import TrainedCandidate, Workspace

NO_HISTORY = DataHistory()
log = logging.getLogger(__name__)


def evaluate_candidate(
    workspace: Workspace,
    candidate: TrainedCandidate,
    frame: pd.DataFrame,
    *,
    champion_version: int | None = None,
    refusals: int = 0,
    history: DataHistory = NO_HISTORY,
    read_rows: ReadRows | None = None,
) -> Evidence:
    """
    Measure the packaged candidate and the champion on the same test rows, and log the evidence.

    `frame` holds the snapshot's rows; `refusals` and `history` are part of the evidence. `read_rows` reads
    the champion's own features. Without a label, both are measured on anomalies injected into the rows.

    Raises
    ------
    CertificateInvalid
        If files of the candidate or of the champion were exchanged; they are not loaded then.
    ModelError
        If a model raises, or returns something that is no prediction.
    ServiceUnavailable
        If the registry, memory, disk or the machine's time failed.
    """
    use_case = workspace.use_case
    splits = measured_splits(workspace, frame)
    parity_rows = feature_columns(use_case, sample(splits.test, PARITY_ROWS))
    with ExitStack() as processes:
        start_isolated = processes.enter_context(isolated_predictor(parity_rows))
        package = load_candidate(workspace, candidate, start_isolated)
        champion = load_champion(workspace, champion_version, splits.test, read_rows)
        if champion and any(gate.kind == "budget" and gate.compares for gate in use_case.gates):
            champion = start_champion(champion, package, start_isolated, processes)
        with timed_step(f"{use_case.name}: predictions of the test rows", 1, 3, "the evaluation"):
            context = build_context(use_case, splits, package, champion=champion)
            plots = draw_evaluation(context, workspace.workdir)
        with timed_step(f"{use_case.name}: importance of the features", 2, 3, "the evaluation"):
            context, explanations = _measure_importance(context, history, splits.test, workspace.workdir)
        overlap, champion_overlap = count_overlaps(
            workspace.specification, splits, champion.package.folder if champion else None
        )
        with timed_step(f"{use_case.name}: metrics and gates", 3, 3, "the evaluation"):
            evidence = collect_evidence(
                context, overlap=overlap, champion_overlap=champion_overlap, refusals=refusals,
                leakage=history.leakage,
            )  # fmt: skip
    evidence, suspects = _add_suspected_labels(evidence, workspace, context)
    log_evidence(workspace, candidate, evidence, [*plots, *explanations, *suspects])
    return evidence


def _add_suspected_labels(
    evidence: Evidence, workspace: Workspace, context: EvaluationContext
) -> tuple[Evidence, list[Path]]:
    """Return the evidence with the suspected label errors of the test rows, and the file of them."""
    suspected = suspected_labels(workspace.specification, context.test)
    evidence = evidence.model_copy(update={"suspected_labels": shortened(suspected)})
    return evidence, write_suspects(suspected, workspace.workdir)


def _measure_importance(
    context: EvaluationContext, history: DataHistory, test: pd.DataFrame, folder: Path
) -> tuple[EvaluationContext, list[Path]]:
    """Return the context with importances and rows of production, and the files of the importances."""
    importances = importance(context.use_case, context.model, test)
    files = write_importance(context.use_case, importances, test, folder)
    worse = {item.feature: item.worse for item in importances}
    return replace(context, production=history.production, importance=worse), files


def measured_splits(workspace: Workspace, frame: pd.DataFrame) -> Splits:
    """Return the rows on which models are measured; without a label, anomalies are injected into them."""
    splits = split_snapshot(workspace.specification, frame)
    log.info("%s: evaluation on %s test rows", workspace.use_case.name, f"{len(splits.test):,}")
    if workspace.use_case.task == "anomaly":
        return with_injected_anomalies(workspace.use_case, splits)
    return splits


def load_candidate(
    workspace: Workspace, candidate: TrainedCandidate, start_isolated: StartPrediction
) -> PackagedModel:
    """Return the candidate after its digest was checked, once for both processes that load it."""
    folder = workspace.registry.fetch_model(candidate.model_id, workspace.workdir / "candidate")
    require_digest(folder, candidate.digest, f"the candidate of run {candidate.run_id}")
    isolated = start_isolated(folder)
    return PackagedModel(folder, load_unverified(folder), isolated)


def start_champion(
    champion: ChampionInput, candidate: PackagedModel, start_isolated: StartPrediction, processes: ExitStack
) -> ChampionInput:
    """Return the champion, which an isolated process measures on rows with its own features."""
    if champion.rows is None:
        return champion
    model = champion.package.model
    if model.columns != candidate.model.columns:
        rows = sample(champion.rows, PARITY_ROWS)[list(model.features)]
        start_isolated = processes.enter_context(isolated_predictor(rows))
    package = replace(champion.package, isolated=start_isolated(champion.package.folder))
    return replace(champion, package=package)


def log_evidence(
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
