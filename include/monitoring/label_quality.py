"""Label quality: the share of labels that have landed, and the skill of the predictions that have one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from include.data.lake.partition_columns import DAY
from include.data.snapshots.target_encoding import TARGET, encode
from include.declarations.base import INTERNAL_PREFIX
from include.errors import DataError
from include.modeling.evaluation.metrics import compute_metrics
from include.monitoring.quality.causes import find_cause
from include.monitoring.quality.estimated import estimate_quality
from include.monitoring.quality.maturity import DUE, LABEL_DAY, LANDED
from include.monitoring.quality.promised import compare_with_evaluation
from include.monitoring.quality.skill import as_array, baseline_constant, constant_loss, days_of, loss_name
from include.monitoring.windows import AT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from include.declarations import UseCase
    from include.monitoring.quality.promised import Bounds
    from include.monitoring.quality.skill import Shares

QualityOutcome = Literal["good", "lost", "inconclusive"]

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
    1 - loss / baseline loss: 1 is perfect, 0 is no better than a constant. `hindsight_skill` is the same
    against the best constant of the window's own labels, which does not move with the model. `figures` are
    the metrics, and `interval` and `promised` the bounds of the use case's metric here and in the champion's
    evaluation. `provisional` is True while labels are not due yet, or still come by the curve `maturity`
    (`include.monitoring.quality.maturity`). `estimated` are the metrics that are
    expected of the newest window without its labels, see `include.monitoring.quality.estimated`; `shifts`
    are those of label and predictions (`include.monitoring.quality.target_shifts`). `cause` names why the
    metric became worse, where that can be told (`include.monitoring.quality.causes`). `change_points` are
    those of the daily loss over all windows, `worst_slices` and `value` (what the model saves) those of the
    window; see the modules of these names in `include.monitoring.quality`.
    `label_days` and `label_surges` are those of all windows (`include.monitoring.quality.label_levels`,
    `include.monitoring.quality.label_surges`).
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
    hindsight_skill: float | None = None
    interval: Bounds | None = None
    promised: Bounds | None = None
    provisional: bool = False
    estimated: Mapping[str, float] = field(default_factory=dict)
    shifts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    cause: str = ""
    change_points: Sequence[Mapping[str, Any]] = ()
    worst_slices: Sequence[Mapping[str, Any]] = ()
    value: Mapping[str, Any] = field(default_factory=dict)
    maturity: Mapping[str, Any] = field(default_factory=dict)
    label_days: Sequence[Mapping[str, Any]] = ()
    label_surges: str = ""


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
    on several days, or its event is later than the label's. Where entities recur, a request gets the label of
    the first day from the request on. Of several predictions for one label the last counts, in the order of
    `AT`.

    Parameters
    ----------
    predictions
        Columns `keys` and `PREDICTION`, optionally `time`, the day and `AT`; rows with an entity count.
    labels
        Columns `keys` and the label, optionally `time` and the day.
    keys
        Columns of the entity.
    time, recurs
        Column with the time of the event; whether entities are known to have labels of several days.

    Returns
    -------
    pandas.DataFrame
        The predictions with `TARGET` (float64, NaN without a label), `LANDED` (bool) and `LABEL_DAY`, the day
        of the partition of the label.

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
    return _with_labels(joined, targets)


def _with_labels(joined: pd.DataFrame, targets: pd.DataFrame) -> pd.DataFrame:
    """Return the predictions with the value and the day of their labels, and whether these have landed."""
    labels = joined[_LABEL]
    days = targets[DAY] if DAY in targets else pd.Series(index=targets.index, dtype=object)
    label_days = labels.map(days).astype(object)
    labelled = joined.drop(columns=[_LABEL, _EVENT])
    labelled = labelled.assign(**{TARGET: labels.map(targets[TARGET]).astype("float64")})
    return labelled.assign(**{LANDED: labels.notna().astype(bool), LABEL_DAY: label_days})


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
    of_entity = _match_entity(predicted, targets, entity, recurs=recurs)
    if time in predicted and time in targets:
        # A label of an earlier event belongs to another prediction.
        of_entity = of_entity.mask(of_entity.map(targets[time]) < predicted[time])
    matches = matches.fillna(of_entity)
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


def measure_quality(
    joined: pd.DataFrame,
    use_case: UseCase,
    *,
    baseline: float | Shares,
    promised: Mapping[str, Bounds] | None = None,
    minimum_labels: int = MINIMUM_LABELS,
) -> Quality:
    """
    Return completeness and skill of joined predictions.

    Quality is `lost` if the skill is not above 0, or if the interval of the use case's metric is beyond the
    one of the champion's evaluation. It is `inconclusive` if too few labels have landed, or if the baseline
    has no loss.

    Parameters
    ----------
    joined
        Result of `join_labels`, optionally with `DUE` (bool); rows neither due nor landed are left out.
    baseline
        Result of `baseline_constant`.
    promised
        Interval of each metric in the champion's evaluation.
    minimum_labels
        Number of labels with a value that are needed.
    """
    n_asked = len(joined)
    if DUE in joined:
        joined = joined[joined[DUE] | joined[LANDED]]
    labelled = joined[joined[TARGET].notna()]
    completeness = float(joined[LANDED].mean()) if len(joined) else 0.0
    counted = Quality("inconclusive", "", len(joined), len(labelled), completeness, None, {})
    counted = replace(counted, provisional=len(joined) < n_asked)
    minimum = use_case.label.minimum_completeness
    if len(joined) and completeness < minimum:
        reason = (
            f"waiting: {completeness:.1%} of the labels of {len(joined)} predictions have landed, "
            f"{minimum:.0%} are needed"
        )
        return replace(counted, reason=reason)
    if len(labelled) < minimum_labels:
        reason = f"{len(labelled)} of {len(joined)} predictions have a label, {minimum_labels} are needed"
        return replace(counted, reason=reason)
    return _judge_labelled(counted, labelled, use_case, baseline, promised or {})


def _judge_labelled(
    counted: Quality,
    labelled: pd.DataFrame,
    use_case: UseCase,
    baseline: float | Shares,
    promised: Mapping[str, Bounds],
) -> Quality:
    """Return the verdict on rows that have a label with a value."""
    target = labelled[TARGET].to_numpy(dtype=np.float64)
    predictions = as_array(labelled)
    figures = compute_metrics(use_case, predictions, target)
    loss_kind = loss_name(use_case)
    loss_of_baseline = constant_loss(use_case, baseline, target)
    if loss_of_baseline < EPSILON:
        value = _describe_label(use_case, target[0])
        reason = f"all {len(labelled)} labels are {value}: the baseline is perfect, there is no skill"
        return replace(counted, reason=reason, figures=figures)
    loss = figures[loss_kind]
    skill = 1 - loss / loss_of_baseline
    reason = (
        f"skill {skill:.3f} ({loss_kind} {loss:.4g}, baseline {loss_of_baseline:.4g}) "
        f"on {len(labelled)} labels, {counted.completeness:.1%} landed"
    )
    best = constant_loss(use_case, baseline_constant(use_case, labelled[TARGET]), target)
    measured = replace(
        counted, skill=skill, figures=figures, hindsight_skill=1 - loss / best if best >= EPSILON else None
    )
    compared = compare_with_evaluation(
        use_case.metric, figures, target, predictions, days_of(labelled), promised
    )
    if compared is None:
        return replace(measured, outcome="good" if skill > 0 else "lost", reason=reason)
    cause = find_cause(use_case, compared, predictions, target, baseline)
    explained = f": {cause.name}, {cause.evidence}" if cause else ""
    outcome: QualityOutcome = "lost" if skill <= 0 or compared.is_worse else "good"
    return replace(
        measured,
        outcome=outcome,
        reason=f"{reason}; {compared.describe()}{explained}",
        interval=compared.interval,
        promised=compared.promised,
        cause=cause.name if cause else "",
    )


def estimate_window(use_case: UseCase, joined: Sequence[pd.DataFrame]) -> dict[str, float]:
    """
    Return the expected metrics of the newest window, calibrated by the labels of the earlier ones.

    Parameters
    ----------
    joined
        Results of `join_labels`, newest window first.
    """
    newest = joined[0]
    earlier = [rows[rows[TARGET].notna()] for rows in joined[1:]]
    earlier = [rows for rows in earlier if len(rows)]
    if newest.empty or use_case.task not in {"binary", "multiclass"}:
        return {}
    calibration = None
    if earlier:
        labelled = pd.concat(earlier, ignore_index=True)
        calibration = (as_array(labelled), labelled[TARGET].to_numpy(dtype=np.float64))
    return estimate_quality(use_case, as_array(newest), calibration)


def _describe_label(use_case: UseCase, value: float) -> str:
    return use_case.class_names[int(value)] if use_case.class_names else f"{value:g}"
