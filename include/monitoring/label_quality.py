"""Label quality: the share of labels that have landed, and the skill of the predictions that have one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from include.data.lake.partition_columns import DAY
from include.data.snapshots.target_encoding import TARGET, encode
from include.declarations.base import INTERNAL_PREFIX
from include.declarations.metrics import baseline_quantile, split_metric
from include.errors import DataError
from include.inference.predictions import PREDICTION
from include.modeling.evaluation.metrics import compute_metrics
from include.monitoring.windows import AT

if TYPE_CHECKING:
    from collections.abc import Sequence
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
# Columns of the join: index of the label, event without a label, code of the entity.
_LABEL = f"{INTERNAL_PREFIX}label"
_EVENT = f"{INTERNAL_PREFIX}event"
_KEY = f"{INTERNAL_PREFIX}key"


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


def without_labels(use_case: UseCase) -> Quality:
    """Return the quality of a model that has no label: inconclusive."""
    reason = f"{use_case.name} detects anomalies and has no label"
    return Quality("inconclusive", reason, 0, 0, 0.0, None, {})


def join_labels(
    predictions: pd.DataFrame,
    labels: pd.DataFrame,
    use_case: UseCase,
    *,
    keys: Sequence[str],
    time: str | None = None,
    recurs: bool = False,
) -> pd.DataFrame:
    """
    Join predictions with the labels that have landed.

    A prediction gets the label of its entity with the same `time`, else the one of the same day. If there is
    none and no entity has labels of several days, it gets its entity's label, unless the entity was predicted
    on several days. Where entities recur, a request gets the label of the first day from the request on. Of
    several predictions for one label the last counts, in the order of `AT`.

    Parameters
    ----------
    predictions
        Columns `keys` and `PREDICTION`, optionally `time`, the day and `AT`. Rows without an entity are
        dropped.
    labels
        Columns `keys` and the label, optionally `time` and the day.
    keys
        Columns of the entity.
    time, recurs
        Column with the time of the event; whether entities are known to have labels of several days.

    Returns
    -------
    pandas.DataFrame
        The predictions with `TARGET` (float64, NaN without a label) and `LANDED` (bool).

    Raises
    ------
    DataError
        If an entity has several labels of one time, or of one day if labels have no time.
    """
    entity = list(keys)
    targets = _encode_labels(labels, use_case, entity, time)
    recurs = recurs or bool(targets.duplicated(entity).any())
    predicted = predictions.dropna(subset=entity).reset_index(drop=True)
    if AT in predicted:
        predicted = predicted.sort_values(AT, kind="stable", ignore_index=True)
    matched = _match(predicted, targets, entity, time, recurs=recurs)
    joined = matched.drop_duplicates([*entity, _LABEL, _EVENT], keep="last")
    target = joined[_LABEL].map(targets[TARGET]).astype("float64")
    landed = joined[_LABEL].notna().astype(bool)
    return joined.drop(columns=[_LABEL, _EVENT]).assign(**{TARGET: target}, **{LANDED: landed})


def _encode_labels(
    labels: pd.DataFrame, use_case: UseCase, entity: list[str], time: str | None
) -> pd.DataFrame:
    """Return the labels by ascending day, with a new index, and `target` for the label's column."""
    event = next((column for column in (time, DAY) if column in labels), None)
    duplicates = labels[labels.duplicated([*entity, *([event] if event else [])])]
    if not duplicates.empty:
        key = ", ".join(map(repr, duplicates[entity].iloc[0]))
        raise DataError(
            f"{use_case.label.dataset}: {', '.join(entity)} {key} has several labels. "
            "Its partitions overlap: run their ingestion again."
        )
    target = encode(use_case.label, labels[use_case.label.column])
    targets = labels.drop(columns=use_case.label.column).assign(**{TARGET: target})
    ordered = targets.sort_values(DAY, kind="stable") if DAY in targets else targets
    return ordered.reset_index(drop=True)


def _match(
    predicted: pd.DataFrame, targets: pd.DataFrame, entity: list[str], time: str | None, *, recurs: bool
) -> pd.DataFrame:
    """Return the predictions with the index of their label, and the event of those without one."""
    matches = pd.Series(pd.NA, index=predicted.index, dtype="Int64")
    for column in [DAY] if time is None else [time, DAY]:
        if column in predicted and column in targets:
            matches = matches.fillna(_match_equal(predicted, targets, [*entity, column]))
    matches = matches.fillna(_match_entity(predicted, targets, entity, recurs=recurs))
    events = _unmatched_event(predicted, matches, recurs=recurs)
    return predicted.assign(**{_LABEL: matches, _EVENT: events})


def _match_equal(predicted: pd.DataFrame, targets: pd.DataFrame, columns: list[str]) -> pd.Series[int]:
    """Return the index of the only label with equal values in these columns, or null: (n,)."""
    single = targets.drop_duplicates(columns, keep=False)[columns].reset_index(names=_LABEL)
    matched = predicted[columns].merge(single, on=columns, how="left")[_LABEL]
    return matched.astype("Int64").set_axis(predicted.index)


def _match_entity(
    predicted: pd.DataFrame, targets: pd.DataFrame, entity: list[str], *, recurs: bool
) -> pd.Series[int]:
    """Return the index of the label of the entity, whatever the day of its prediction, or null: (n,)."""
    if recurs and (DAY in predicted or DAY not in targets):
        return pd.Series(pd.NA, index=predicted.index, dtype="Int64")
    if recurs and AT in predicted:
        return _match_next_day(predicted, targets, entity)
    matches = _match_equal(predicted, targets.drop_duplicates(entity, keep="last"), entity)
    return matches.mask(predicted.duplicated(entity, keep=False)) if DAY in predicted else matches


def _match_next_day(predicted: pd.DataFrame, targets: pd.DataFrame, entity: list[str]) -> pd.Series[int]:
    """Return the index of the label of the first day that does not end before the request, or null: (n,)."""
    single = targets.drop_duplicates([*entity, DAY], keep=False)
    codes = pd.concat([single[entity], predicted[entity]]).groupby(entity, sort=False).ngroup().to_numpy()
    days = pd.to_datetime(single[DAY], utc=True).astype("datetime64[us, UTC]")
    right = pd.DataFrame({_KEY: codes[: len(single)], _EVENT: days, _LABEL: single.index})
    request_days = pd.to_datetime(predicted[AT], utc=True).dt.floor("D").astype("datetime64[us, UTC]")
    left = pd.DataFrame({_KEY: codes[len(single) :], _EVENT: request_days})
    # Stable sorting: predictions are in the order of `AT`, so their days ascend.
    matched = pd.merge_asof(left, right.sort_values(_EVENT), on=_EVENT, by=_KEY, direction="forward")
    return matched[_LABEL].astype("Int64").set_axis(predicted.index)


def _unmatched_event(predicted: pd.DataFrame, matches: pd.Series[int], *, recurs: bool) -> pd.Series[str]:
    """Return what distinguishes predictions of one entity that have no label: their day, or nothing."""
    if DAY in predicted:
        events = predicted[DAY].astype(str)
    elif recurs and AT in predicted:
        events = pd.to_datetime(predicted[AT], utc=True).dt.strftime("%Y-%m-%d")
    else:
        events = pd.Series("", index=predicted.index)
    return events.mask(matches.notna(), "")


def baseline_constant(use_case: UseCase, target: pd.Series) -> float | Shares:
    """
    Return the constant prediction with the smallest loss on the champion's training labels.

    It is the median for MAE, the quantile of a quantile loss, the mean for RMSE and binary classifiers, and
    for multiclass the share of each class, shape (n_classes,).
    """
    if use_case.task == "multiclass":
        n_classes = len(use_case.class_names)
        return np.bincount(target.astype("int64"), minlength=n_classes) / max(len(target), 1)
    quantile = baseline_quantile(use_case.metric)
    return float(target.mean() if quantile is None else target.quantile(quantile))


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
    loss_of_baseline = compute_metrics(use_case, constant, target, only={loss_name})[loss_name]
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


def _loss_name(use_case: UseCase) -> str:
    if use_case.task == "multiclass":
        return "log_loss"
    if use_case.task == "binary":
        return "brier"
    if split_metric(use_case.metric)[0] == "quantile_loss":
        return use_case.metric
    return "rmse" if baseline_quantile(use_case.metric) is None else "mae"
