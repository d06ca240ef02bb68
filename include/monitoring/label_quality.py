"""Labels land late: how many are there, and what the predictions were worth where they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from include.data.snapshots.target_encoding import encode
from include.errors import DataError
from include.modeling.evaluation.metrics import compute_metrics

if TYPE_CHECKING:
    from datetime import datetime

    import numpy.typing as npt

    from include.declarations import UseCase

    Shares = npt.NDArray[np.float64]

QualityOutcome = Literal["good", "lost", "inconclusive"]

MINIMUM_LABELS = 100
NOTHING = 1e-12  # a loss that only rounding leaves


@dataclass(frozen=True, slots=True)
class Quality:
    """
    What the labels say of a version's predictions.

    `predictions` are those whose label was due or has landed; `completeness` is the share of them whose label
    has landed, also as known to be none; `labelled` of them have a value. `skill` is 1 - loss / loss of the
    naive forecast, a yardstick that does not move with the model: 1 is perfect, 0 no better than a constant.
    `window` is when they were predicted, and `windows` are all that were looked at, newest first.
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
    Return `predictions` with columns `target`, missing where no label is, and `landed`, true where one is.

    A prediction that names its `day` takes the label of that day; else, or if the entity was predicted for no
    other day, the newest of the entity's labels, however late it was published. Of an entity that was asked
    for several times the last prediction counts (by `at`, where it is known).

    :raises DataError: if an entity has two labels on one day
    """
    key = [entity, "day"] if "day" in labels else [entity]
    twice = labels[entity][labels.duplicated(key)]
    if not twice.empty:
        raise DataError(
            f"{use_case.label.dataset}: {entity} {twice.iloc[0]!r} has several labels. "
            "Its partitions overlap: run their ingestion again."
        )
    asked = predictions[predictions[entity].notna()]
    asked = asked.sort_values("at", kind="stable") if "at" in asked else asked
    asked = asked.drop_duplicates([name for name in (entity, "day") if name in asked], keep="last")
    values = _values(labels, use_case)
    by_day = values.sort_values("day", kind="stable") if "day" in values else values
    newest = by_day.drop_duplicates(entity, keep="last").set_index(entity)["target"]
    ambiguous = asked[entity].duplicated(keep=False)
    target = asked[entity].map(newest).mask(ambiguous)
    landed = asked[entity].isin(newest.index) & ~ambiguous
    if "day" in asked and "day" in values:
        own = asked[[entity, "day"]].merge(values, on=[entity, "day"], how="left", indicator="where")
        of_day = (own["where"] == "both").to_numpy()
        target = target.mask(of_day, pd.Series(own["target"].to_numpy(), index=asked.index))
        landed = landed | of_day
    return asked.assign(target=target.astype("float64"), landed=landed)


def _values(labels: pd.DataFrame, use_case: UseCase) -> pd.DataFrame:
    target = encode(use_case.label, labels[use_case.label.column])
    return labels.drop(columns=use_case.label.column).assign(target=target)


def baseline_loss(use_case: UseCase, target: pd.Series) -> float | Shares:
    """
    Return the constant that is the best forecast without a model: from the champion's training labels.

    Of several classes it is the share of each.
    """
    if use_case.task == "multiclass":
        count = len(use_case.label.classes)
        return np.bincount(target.astype("int64"), minlength=count) / max(len(target), 1)
    return float(target.median() if _loss(use_case) == "mae" else target.mean())


def measure_quality(
    joined: pd.DataFrame, use_case: UseCase, *, naive: float | Shares, minimum_labels: int = MINIMUM_LABELS
) -> Quality:
    """
    Return completeness and quality of what `join` returned; `naive` is the `naive_forecast`.

    A row whose `due` is false is left out until its label lands. Quality is lost when the predictions are
    worth no more than the naive forecast, and inconclusive while too few labels have landed.
    """
    if "due" in joined:
        joined = joined[joined["due"] | joined["landed"]]
    labelled = joined[joined["target"].notna()]
    completeness = float(joined["landed"].mean()) if len(joined) else 0.0
    counts = (len(joined), len(labelled), completeness)
    least = use_case.label.minimum_completeness
    if len(joined) and completeness < least:
        reason = (
            f"waiting: {completeness:.1%} of the labels of {len(joined)} predictions have landed, "
            f"{least:.0%} are needed"
        )
        return Quality("inconclusive", reason, *counts, skill=None, figures={})
    if len(labelled) < minimum_labels:
        reason = f"{len(labelled)} of {len(joined)} predictions have a label, {minimum_labels} are needed"
        return Quality("inconclusive", reason, *counts, skill=None, figures={})
    target = labelled["target"].to_numpy(dtype=np.float64)
    figures = compute_metrics(use_case, np.asarray(labelled["prediction"].tolist(), dtype=np.float64), target)
    loss = _loss(use_case)
    constant = np.broadcast_to(naive, (len(target), *np.shape(naive)))
    yardstick = compute_metrics(use_case, constant, target)[loss]
    if yardstick < NOTHING:
        reason = f"all {len(labelled)} labels are {target[0]:g}: nothing to forecast, so no skill to measure"
        return Quality("inconclusive", reason, *counts, skill=None, figures=figures)
    skill = 1 - figures[loss] / yardstick
    reason = (
        f"skill {skill:.3f} ({loss} {figures[loss]:.4g}, naive {yardstick:.4g}) on {len(labelled)} labels, "
        f"{completeness:.1%} landed"
    )
    return Quality("good" if skill > 0 else "lost", reason, *counts, skill=skill, figures=figures)


def _loss(use_case: UseCase) -> Literal["brier", "log_loss", "rmse", "mae"]:
    if use_case.task == "multiclass":
        return "log_loss"
    if use_case.task == "binary":
        return "brier"
    return "mae" if use_case.metric == "mae" else "rmse"
