"""Permutation importance of features, as figures and as a plot."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from include.data.lake.partition_columns import DAY
from include.data.snapshots.target_encoding import TARGET
from include.declarations import is_greater_better
from include.modeling.evaluation.bootstrap import UnitBootstrap
from include.modeling.evaluation.figures import render_png
from include.modeling.evaluation.metrics import compute_metrics
from include.modeling.evaluation.metrics.resampled import CONFIDENCE, resample_metric

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from include.declarations import UseCase
    from include.inference.model import ServedModel
    from include.modeling.evaluation.bootstrap import Values
    from include.modeling.registry.registry import Registry

EXPLANATIONS = "explanations.json"
PLOT = "importance.png"
PLOT_DPI = 100
# 3,000 predictions per feature, however large the test split is.
MAX_ROWS = 1_000
N_REPEATS = 3
# Of the days or groups of rows, for the bounds of an importance.
N_RESAMPLES = 200


@dataclass(frozen=True, slots=True)
class Importance:
    """
    How much worse the metric gets when a feature is shuffled.

    Attributes
    ----------
    feature : str
    worse : float
        Mean over the shuffles.
    lower, upper : float
        Bounds that hold 95 % of the values of one shuffle on resampled days, or groups of undated rows.
    """

    feature: str
    worse: float
    lower: float
    upper: float


def write_importance(
    use_case: UseCase, importances: Sequence[Importance], test: pd.DataFrame, folder: Path
) -> list[Path]:
    """Write the importance of every feature on the test rows into `folder`; return the paths."""
    rows = min(len(test), MAX_ROWS)
    content = {
        "metric": use_case.metric,
        "rows": rows,
        "repeats": N_REPEATS,
        "confidence": CONFIDENCE,
        "method": "permutation",
        "importance": [asdict(item) for item in importances],
    }
    explanations = folder / EXPLANATIONS
    explanations.write_text(json.dumps(content, indent=1))
    plot = folder / PLOT
    title = f"{use_case.name}: {use_case.metric} without the feature, {rows} rows"
    plot.write_bytes(draw_importance(importances, title))
    return [explanations, plot]


def logged_importance(registry: Registry, use_case: str, version: int) -> dict[str, float]:
    """
    Return how much worse the metric of a registered version is without each feature; empty if not logged.

    Raises
    ------
    ServiceUnavailable
        If MLflow does not answer.
    """
    run_id = registry.tags_of(use_case, version).get("airworthy.run_id", "")
    file = registry.read_file(run_id, EXPLANATIONS) if run_id else None
    content = json.loads(file) if file else {"importance": []}
    return {item["feature"]: item["worse"] for item in content["importance"]}


def importance(
    use_case: UseCase,
    model: ServedModel,
    test: pd.DataFrame,
    *,
    rows: int = MAX_ROWS,
    repeats: int = N_REPEATS,
    seed: int = 0,
) -> list[Importance]:
    """
    Return the permutation importance (Breiman 2001) of every feature, greatest first.

    It is 0 where the metric is undefined, as a ranking metric is on rows of one class.

    Parameters
    ----------
    use_case
        Use case with the metric.
    model
        Model to predict with.
    test
        Rows with the features and the column `TARGET`.
    rows
        Rows to sample.
    repeats
        How often each feature is shuffled.
    seed
        Seed of the sample and of the shuffles.
    """
    sampled = test.sample(min(rows, len(test)), random_state=seed)
    frame = sampled[list(use_case.features)]
    score = _scorer(use_case, sampled)
    random = np.random.default_rng(seed)
    whole = score(model.predict(frame))
    importances = []
    for name in frame.columns:
        # permutation_importance of scikit-learn predicts each shuffle by itself, which takes thrice as long.
        predictions = model.predict(_shuffled(frame, name, repeats, random))
        worse = whole - np.stack([score(part) for part in np.split(predictions, repeats)])
        mean = float(worse[:, 0].mean())
        lower, upper = np.quantile(worse[:, 1:], ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
        importances.append(Importance(name, mean, min(float(lower), mean), max(float(upper), mean)))
    return sorted(importances, key=lambda item: -item.worse)


def _shuffled(frame: pd.DataFrame, name: str, repeats: int, random: np.random.Generator) -> pd.DataFrame:
    """Return copies of the rows, one below the other, in each of which a column is shuffled anew."""
    copies = pd.concat([frame] * repeats, ignore_index=True)
    order = np.concatenate([random.permutation(len(frame)) for _ in range(repeats)])
    return copies.assign(**{name: frame[name].array[order]})


def _scorer(use_case: UseCase, rows: pd.DataFrame) -> Callable[[Values], Values]:
    """Return the function from predictions to the metric, greater is better: of `rows`, then of resamples."""
    units = _units(use_case, rows)
    target = rows[TARGET]
    values = target.to_numpy(dtype=np.float64)
    metric = use_case.metric
    sign = 1.0 if is_greater_better(metric) else -1.0

    def score(predictions: Values) -> Values:
        value = compute_metrics(use_case, predictions, target, only={metric}).get(metric, 0.0)
        statistic = resample_metric(metric, values, predictions, units)
        resamples = np.nan_to_num(statistic(units.weights[:N_RESAMPLES]))
        return sign * np.concatenate([[value], resamples])

    return score


def _units(use_case: UseCase, rows: pd.DataFrame) -> UnitBootstrap:
    """Return the units that rows are resampled in: days, or groups of undated rows."""
    if use_case.split.by == "time" and DAY in rows:
        return UnitBootstrap.of_days(rows[DAY])
    return UnitBootstrap.of_rows(len(rows))


def draw_importance(importances: Sequence[Importance], title: str) -> bytes:
    """Return the importance of every feature as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 1 + 0.3 * len(importances)), layout="constrained")
    axes = figure.add_subplot()
    # The first bar is drawn at the bottom.
    bars = list(reversed(importances))
    axes.barh(
        [item.feature for item in bars],
        [item.worse for item in bars],
        xerr=np.transpose([(item.worse - item.lower, item.upper - item.worse) for item in bars]),
    )
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("worse by")
    axes.axvline(0, color="black", linewidth=0.8)
    return render_png(figure, dpi=PLOT_DPI)
