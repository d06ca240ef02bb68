"""Training and gates of a model in a folder: no registry, no certificate, one process."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from include.certificates.certificate import EVIDENCE
from include.data.snapshots.determination import require_undetermined
from include.feature_values import specified_kinds
from include.inference.model import load_unverified
from include.modeling.evaluation.context import (
    ChampionInput,
    DataHistory,
    PackagedModel,
    build_context,
    sample,
)
from include.modeling.evaluation.injected_anomalies import with_injected_anomalies
from include.modeling.evaluation.isolated_process import measure_package
from include.modeling.explainability.importance import importance
from include.modeling.gates import judge_gates
from include.modeling.gates.mandatory import PARITY_ROWS
from include.modeling.packaging.package import save_package
from include.modeling.pipeline.collect_evidence import collect_evidence
from include.modeling.pipeline.decision import packaged_rule
from include.modeling.pipeline.workspace import SEEN_ROWS, count_overlaps, row_identities, split_snapshot
from include.modeling.training.build import build_estimator, estimator_builder
from include.modeling.training.fit import feature_columns, fit_candidate

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from include.data.snapshots.splits import Splits
    from include.declarations.specification import Specification
    from include.inference.decisions import DecisionRule
    from include.modeling.evaluation.evidence import Evidence
    from include.modeling.gates import Verdict

NO_HISTORY = DataHistory()


@dataclass(frozen=True, slots=True)
class UnregisteredVersion:
    """A packaged model: its number and the folder of the package."""

    number: int
    folder: Path


@dataclass(frozen=True, slots=True)
class Judgement:
    """
    What the gates found of a candidate.

    `importance` says how much worse the metric is without each feature; `rule` is how decisions follow from
    predictions, None without their costs.
    """

    evidence: Evidence
    verdicts: tuple[Verdict, ...]
    importance: dict[str, float]
    rule: DecisionRule | None


def train_unregistered(specification: Specification, splits: Splits, folder: Path) -> tuple[str, ...]:
    """
    Fit and package the estimator of a use case; return the notes of the training.

    Parameters
    ----------
    specification
        Specification of the snapshot.
    splits
        Rows of the snapshot.
    folder
        Folder of the package, which is created.

    Raises
    ------
    DataError
        If features hold the label.
    TrainingFailed
        If the estimator cannot be fitted.
    """
    use_case = specification.use_case
    estimator = build_estimator(use_case.name, estimator_builder(use_case.name), {})
    trained = fit_candidate(use_case, estimator, splits)
    save_package(
        trained.estimator,
        use_case,
        splits.train,
        folder,
        kinds=specified_kinds(specification),
        decision=packaged_rule(use_case, trained.estimator, splits),
    )
    (folder / EVIDENCE).mkdir(exist_ok=True)
    np.save(folder / EVIDENCE / SEEN_ROWS, row_identities(specification, splits.train, splits.validation))
    return trained.notes


def split_checked(specification: Specification, frame: pd.DataFrame) -> Splits:
    """Return the splits of a snapshot's rows; raise DataError if features hold the label."""
    require_undetermined(specification.use_case, frame)
    return split_snapshot(specification, frame)


def judge_unregistered(
    specification: Specification,
    splits: Splits,
    folder: Path,
    *,
    champion: UnregisteredVersion | None = None,
    refusals: int = 0,
    history: DataHistory = NO_HISTORY,
) -> Judgement:
    """
    Measure a packaged candidate and the champion on the same test rows, and judge every gate.

    The package is loaded in this process: it was made in it, so that nothing strange is loaded.

    Parameters
    ----------
    champion
        Version of the same specification.
    refusals
        Attempts that failed since the last promotion.
    history
        What is known of the data beyond the snapshot.
    """
    use_case = specification.use_case
    measured = with_injected_anomalies(use_case, splits) if use_case.task == "anomaly" else splits
    parity_rows = feature_columns(use_case, sample(measured.test, PARITY_ROWS))
    candidate = PackagedModel(folder, load_unverified(folder), lambda: measure_package(folder, parity_rows))
    context = build_context(use_case, measured, candidate, champion=_champion_input(champion, measured.test))
    worse = {item.feature: item.worse for item in importance(use_case, candidate.model, measured.test)}
    context = replace(context, production=history.production, importance=worse)
    overlap, champion_overlap = count_overlaps(specification, measured, champion.folder if champion else None)
    evidence = collect_evidence(
        context,
        overlap=overlap,
        champion_overlap=champion_overlap,
        refusals=refusals,
        leakage=history.leakage,
    )
    return Judgement(evidence, judge_gates(use_case, evidence), worse, context.decision)


def _champion_input(champion: UnregisteredVersion | None, test: pd.DataFrame) -> ChampionInput | None:
    if champion is None:
        return None
    package = PackagedModel(champion.folder, load_unverified(champion.folder))
    return ChampionInput(champion.number, package, test)
