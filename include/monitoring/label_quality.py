"""Label quality: the share of labels that have landed, and the skill of the predictions that have one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from include.data.lake.partition_columns import DAY
from include.data.snapshots.target_encoding import TARGET, encode
from include.declarations.base import INTERNAL_PREFIX
from include.errors import DataError
from include.inference.predictions import PREDICTION
from include.modeling.evaluation.metrics import compute_metrics
from include.monitoring.windows import AT

if TYPE_CHECKING:
    from datetime import datetime

    import numpy.typing as npt

    from include.declarations import UseCase

    # Share of each class, shape (n_classes,).
    Shares = npt.NDArray[np.float64]

QualityOutcome = Literal["good", "lost", "inconclusive"]

# Whether a label has landed, and whether it was due.
LANDED = f"{INTERNAL_PREFIX}landed"
DUE = f"{INTERNAL_PREFIX}due"
_ORIGIN = f"{INTERNAL_PREFIX}origin"
MINIMUM_LABELS = 100
# A smaller loss is a rounding error.
EPSILON = 1e-12


@dataclass(frozen=True, slots=True)
class Quality:
    """
    Quality of a version's predictions by the labels that have landed.

    `predictions` counts those whose label was due or has landed. `completeness` is the share of them whose
    label has landed, with or without a value; `labelled` counts those with a value. `skill` is
    1 - loss / baseline loss: 1 is perfect, 0 is no better than a constant. `figures` are the metrics.
    `window` is the start and end of the time window of the predictions; `windows` are the results of all
    windows that were measured, newest first.
    """

    outcome: QualityOutcome
    reason: str
    predictions: int
    labelled: int
    completeness: float
    skill: float | None
    figures: dict[str, float]
    window: tuple[datetime, datetime] | None = None
    windows: tuple[Quality, ...] = ()


def join_labels(
    predictions: pd.DataFrame, labels: pd.DataFrame, use_case: UseCase, *, entity: str
) -> pd.DataFrame:
    """
    Join predictions with the labels that have landed.

    A prediction gets the label of its day. If there is none, and the entity was predicted on no other day,
    it gets the entity's newest label. Of several predictions for an entity (and day) the last counts, in the
    order of `AT` if there is one.

    Parameters
    ----------
    predictions
        Columns `entity` and `PREDICTION`, optionally `DAY` and `AT`. Rows without an entity are dropped.
    labels
        Columns `entity` and the label, optionally `DAY`.
    entity
        Name of the entity's column.

    Returns
    -------
    pandas.DataFrame
        The predictions with `TARGET` (float64, NaN without a label) and `LANDED` (bool).

    Raises
    ------
    DataError
        If an entity has several labels on one day.
    """
    key = [entity, DAY] if DAY in labels else [entity]
    duplicates = labels[entity][labels.duplicated(key)]
    if not duplicates.empty:
        raise DataError(
            f"{use_case.label.dataset}: {entity} {duplicates.iloc[0]!r} has several labels. "
            "Its partitions overlap: run their ingestion again."
        )
    predicted = _last_predictions(predictions, entity)
    targets = _encode_labels(labels, use_case)
    by_day = targets.sort_values(DAY, kind="stable") if DAY in targets else targets
    newest = by_day.drop_duplicates(entity, keep="last").set_index(entity)[TARGET]
    on_several_days = predicted[entity].duplicated(keep=False)
    target = predicted[entity].map(newest).mask(on_several_days)
    landed = predicted[entity].isin(newest.index) & ~on_several_days
    if DAY in predicted and DAY in targets:
        keys = predicted[[entity, DAY]]
        same_day = keys.merge(targets, on=[entity, DAY], how="left", indicator=_ORIGIN)
        has_same_day = (same_day[_ORIGIN] == "both").to_numpy()
        target = target.mask(has_same_day, pd.Series(same_day[TARGET].to_numpy(), index=predicted.index))
        landed = landed | has_same_day
    return predicted.assign(**{TARGET: target.astype("float64")}, **{LANDED: landed})


def _last_predictions(predictions: pd.DataFrame, entity: str) -> pd.DataFrame:
    predicted = predictions[predictions[entity].notna()]
    if AT in predicted:
        predicted = predicted.sort_values(AT, kind="stable")
    key = [name for name in (entity, DAY) if name in predicted]
    return predicted.drop_duplicates(key, keep="last")


def _encode_labels(labels: pd.DataFrame, use_case: UseCase) -> pd.DataFrame:
    target = encode(use_case.label, labels[use_case.label.column])
    return labels.drop(columns=use_case.label.column).assign(**{TARGET: target})


def baseline_constant(use_case: UseCase, target: pd.Series) -> float | Shares:
    """
    Return the constant prediction with the smallest loss on the champion's training labels.

    It is the median for MAE, the mean for RMSE and binary classifiers, and for multiclass the share of each
    class, shape (n_classes,).
    """
    if use_case.task == "multiclass":
        n_classes = len(use_case.class_names)
        return np.bincount(target.astype("int64"), minlength=n_classes) / max(len(target), 1)
    return float(target.median() if _loss_name(use_case) == "mae" else target.mean())


def measure_quality(
    joined: pd.DataFrame, use_case: UseCase, *, baseline: float | Shares, minimum_labels: int = MINIMUM_LABELS
) -> Quality:
    """
    Return completeness and skill of joined predictions.

    Quality is `lost` if the skill is not above 0. It is `inconclusive` if too few labels have landed, or if
    the baseline has no loss.

    Parameters
    ----------
    joined
        Result of `join_labels`, optionally with `DUE` (bool); rows neither due nor landed are left out.
    baseline
        Result of `baseline_constant`.
    minimum_labels
        Number of labels with a value that are needed.
    """
    if DUE in joined:
        joined = joined[joined[DUE] | joined[LANDED]]
    labelled = joined[joined[TARGET].notna()]
    completeness = float(joined[LANDED].mean()) if len(joined) else 0.0
    counts = (len(joined), len(labelled), completeness)
    minimum = use_case.label.minimum_completeness
    if len(joined) and completeness < minimum:
        reason = (
            f"waiting: {completeness:.1%} of the labels of {len(joined)} predictions have landed, "
            f"{minimum:.0%} are needed"
        )
        return Quality("inconclusive", reason, *counts, skill=None, figures={})
    if len(labelled) < minimum_labels:
        reason = f"{len(labelled)} of {len(joined)} predictions have a label, {minimum_labels} are needed"
        return Quality("inconclusive", reason, *counts, skill=None, figures={})
    target = labelled[TARGET].to_numpy(dtype=np.float64)
    predictions = np.asarray(labelled[PREDICTION].tolist(), dtype=np.float64)
    figures = compute_metrics(use_case, predictions, target)
    loss_name = _loss_name(use_case)
    constant = np.broadcast_to(baseline, (len(target), *np.shape(baseline)))
    loss_of_baseline = compute_metrics(use_case, constant, target)[loss_name]
    if loss_of_baseline < EPSILON:
        value = _describe_label(use_case, target[0])
        reason = f"all {len(labelled)} labels are {value}: the baseline is perfect, there is no skill"
        return Quality("inconclusive", reason, *counts, skill=None, figures=figures)
    loss = figures[loss_name]
    skill = 1 - loss / loss_of_baseline
    reason = (
        f"skill {skill:.3f} ({loss_name} {loss:.4g}, baseline {loss_of_baseline:.4g}) "
        f"on {len(labelled)} labels, {completeness:.1%} landed"
    )
    return Quality("good" if skill > 0 else "lost", reason, *counts, skill=skill, figures=figures)


def _describe_label(use_case: UseCase, value: float) -> str:
    return use_case.class_names[int(value)] if use_case.class_names else f"{value:g}"


def _loss_name(use_case: UseCase) -> Literal["brier", "log_loss", "rmse", "mae"]:
    if use_case.task == "multiclass":
        return "log_loss"
    if use_case.task == "binary":
        return "brier"
    return "mae" if use_case.metric == "mae" else "rmse"
