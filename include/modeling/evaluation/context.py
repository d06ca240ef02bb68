"""Evaluation context: a candidate, its predictions of each split, and what it is compared with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from include.data.lake.partition_columns import DAY
from include.data.snapshots.target_encoding import TARGET
from include.errors import ModelError
from include.modeling.evaluation.baseline import baseline_predictions
from include.modeling.evaluation.bootstrap import UnitBootstrap
from include.modeling.evaluation.costs import DEFAULT_THRESHOLD, choose_rule
from include.modeling.evaluation.estimator_errors import estimator_errors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt
    import pandas as pd

    from include.data.snapshots.leakage_history import LeakageRecord
    from include.data.snapshots.splits import Splits
    from include.declarations import UseCase
    from include.inference.decisions import DecisionRule
    from include.inference.model import ServedModel
    from include.modeling.evaluation.bootstrap import Values
    from include.modeling.evaluation.isolated_process import WaitForMeasurement

# Rows of the training and of the validation split that are scored: enough for their metrics.
MAX_ROWS = 50_000


@dataclass(frozen=True, slots=True)
class ScoredSplit:
    """
    One split: features `frame` (n rows), `target` (n,), `predictions` (n,) or (n, n_classes).

    `total_rows` is the size of the whole split, of which the n rows may be a sample.
    """

    frame: pd.DataFrame
    target: Values
    predictions: Values
    total_rows: int


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """A loaded package; `isolated` waits for its measurement in an isolated process, if one was started."""

    folder: Path
    model: ServedModel
    isolated: WaitForMeasurement | None = None


@dataclass(frozen=True, slots=True)
class ChampionInput:
    """
    The champion, and the candidate's test rows with the champion's own features.

    `rows` is None if it cannot be compared with the candidate; `problem` says why.
    """

    version: int
    package: PackagedModel
    rows: pd.DataFrame | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ChampionScores:
    """
    The champion, and its predictions of the candidate's test rows.

    `predictions` is None if they cannot be compared with the candidate's; `problem` says why.
    """

    version: int
    package: PackagedModel
    predictions: Values | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ProductionRows:
    """Features of the newest rows that were predicted, or are to be; `source` says which, in words."""

    frame: pd.DataFrame
    source: str


@dataclass(frozen=True, slots=True)
class DataHistory:
    """
    What is known of a use case beyond the rows of a snapshot.

    `leakage` is what the features' own checks found on its days; `production` are the newest rows of
    production. None was not looked up, or does not exist.
    """

    leakage: LeakageRecord | None = None
    production: ProductionRows | None = None


@dataclass(frozen=True, slots=True)
class EvaluationContext:
    """
    All that gates may measure.

    Attributes
    ----------
    train, validation : ScoredSplit
        At most `MAX_ROWS` rows each, always the same; no validation split is None.
    test : ScoredSplit
        All test rows.
    units : UnitBootstrap
        Days of the test rows, or random groups of them.
    decision, baseline_decision : DecisionRule or None
        How decisions follow from predictions of the model, and of the baseline; None without their costs.
    baseline : array of float
        Baseline predictions of the test rows.
    production : ProductionRows or None
        None where there are none yet.
    importance : mapping
        By how much the metric gets worse without a feature, by its name; empty if it was not measured.
    """

    use_case: UseCase
    package: PackagedModel
    train: ScoredSplit
    validation: ScoredSplit | None
    test: ScoredSplit
    units: UnitBootstrap
    decision: DecisionRule | None
    baseline: Values
    baseline_decision: DecisionRule | None
    champion: ChampionScores | None = None
    production: ProductionRows | None = None
    importance: Mapping[str, float] = field(default_factory=dict)

    @property
    def model(self) -> ServedModel:
        """The candidate's model."""
        return self.package.model

    @property
    def threshold(self) -> float:
        """Probability from which a row of a binary model is acted on."""
        threshold = self.decision.threshold if self.decision else None
        return DEFAULT_THRESHOLD if threshold is None else threshold

    @property
    def scored_splits(self) -> dict[str, ScoredSplit]:
        """The splits by name."""
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: split for name, split in splits.items() if split is not None}

    @property
    def selection(self) -> ScoredSplit:
        """The rows on which thresholds are chosen: validation, or training where there is none."""
        return self.validation or self.train


def build_context(
    use_case: UseCase,
    splits: Splits,
    candidate: PackagedModel,
    *,
    champion: ChampionInput | None = None,
) -> EvaluationContext:
    """
    Predict each split once, with the models and with the baseline, and choose the thresholds.

    Raises
    ------
    ModelError
        If a model raises, or returns something that is no prediction.
    ServiceUnavailable
        If memory, disk, a worker or a connection failed.
    """
    train = score_split(use_case, candidate.model, splits.train, MAX_ROWS)
    test = score_split(use_case, candidate.model, splits.test)
    validation = None
    if len(splits.validation):
        validation = score_split(use_case, candidate.model, splits.validation, MAX_ROWS)
    selection = validation or train
    baseline, baseline_selection = baseline_predictions(use_case, splits.train, splits.test, selection.frame)
    by_entity = use_case.split.by == "entity"
    return EvaluationContext(
        use_case=use_case,
        package=candidate,
        train=train,
        validation=validation,
        test=test,
        units=UnitBootstrap.of_rows(len(test.target))
        if by_entity
        else UnitBootstrap.of_days(test.frame[DAY]),
        decision=candidate.model.decision
        or choose_rule(use_case, selection.target, selection.predictions, selection.frame),
        baseline=baseline,
        baseline_decision=choose_rule(use_case, selection.target, baseline_selection, selection.frame),
        champion=score_champion(use_case, champion) if champion else None,
    )


def score_champion(use_case: UseCase, champion: ChampionInput) -> ChampionScores:
    """
    Return the champion's predictions; if it cannot predict the rows, that is the problem of the comparison.

    Raises
    ------
    ServiceUnavailable
        If memory, disk, a worker or a connection failed.
    """
    predictions = None
    problem = champion.problem
    if champion.rows is not None:
        try:
            predictions = predict_checked(use_case, champion.package.model, champion.rows)
        except ModelError as error:
            problem = str(error)
    return ChampionScores(champion.version, champion.package, predictions, problem)


def score_split(
    use_case: UseCase, model: ServedModel, frame: pd.DataFrame, max_rows: int | None = None
) -> ScoredSplit:
    """Return the rows of a split, or a sample of `max_rows`, with the model's predictions."""
    rows = frame if max_rows is None else sample(frame, max_rows)
    predictions = predict_checked(use_case, model, rows)
    return ScoredSplit(rows, rows[TARGET].to_numpy(dtype=np.float64), predictions, len(frame))


def predict_checked(use_case: UseCase, model: ServedModel, frame: pd.DataFrame) -> Values:
    """
    Return the predictions of `frame` (n rows), of shape (n,) or of several classes (n, n_classes).

    Raises
    ------
    ModelError
        If the model raises, or returns another shape or values that are not finite.
    ServiceUnavailable
        If memory, disk, a worker or a connection failed.
    """
    action = f"{use_case.name}: the prediction of {len(frame)} rows"
    remedy = "Correct build_model(), for instance how it takes missing and unknown values."
    with estimator_errors(action, remedy=remedy):
        predictions = np.asarray(model.predict(frame), dtype=np.float64)
    is_multiclass = use_case.task == "multiclass"
    expected_shape = (len(frame), len(use_case.class_names)) if is_multiclass else (len(frame),)
    n_invalid = int(np.count_nonzero(~np.isfinite(predictions)))
    problem = None
    if n_invalid:
        problem = f"{n_invalid} values are not finite"
    elif predictions.shape != expected_shape:
        problem = f"the shape is {predictions.shape}, expected is {expected_shape}"
    if problem:
        raise ModelError(
            f"{action} is invalid: {problem}. Correct build_model(), or look at the rows of the snapshot."
        )
    return predictions


def sample(frame: pd.DataFrame, max_rows: int) -> pd.DataFrame:
    """Return at most `max_rows` rows, evenly spaced, always the same ones."""
    return frame if len(frame) <= max_rows else frame.iloc[evenly_spaced(len(frame), max_rows)]


def evenly_spaced(count: int, max_rows: int) -> npt.NDArray[np.intp]:
    """Return the positions of at most `max_rows` of `count` rows."""
    return np.linspace(0, count - 1, min(max_rows, count)).astype(np.intp)
