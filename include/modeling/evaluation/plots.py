"""Pictures of an evaluation, for people who would rather look than read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from include.modeling.evaluation.costs import curve
from include.modeling.evaluation.metrics import bins_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from include.modeling.evaluation.bootstrap import Values
    from include.modeling.evaluation.context import EvaluationContext

POINTS = 500
INCHES = (5.6, 4.2)
DOTS = 90  # an inch


def draw_evaluation(trial: EvaluationContext, folder: Path) -> list[Path]:
    """Write the pictures of a trial's test rows as PNG files; return where they are."""
    pictures: dict[str, Callable[[Any, EvaluationContext], None]] = {
        "residuals": _residuals,
        "reliability": _predicted,
    }
    if trial.use_case.task == "binary":
        pictures = {"reliability": _reliability}
        if len(np.unique(trial.test.target)) > 1:
            pictures |= {"roc": _roc, "precision_recall": _precision_recall}
        if trial.use_case.cost is not None:
            pictures["cost"] = _cost
    if trial.use_case.task == "multiclass":
        pictures = {"confusion": _confusion}
    paths = []
    for name, paint in pictures.items():
        paths.append(folder / f"{name}.png")
        _save(paint, trial, paths[-1])
    return paths


def _save(paint: Callable[[Any, EvaluationContext], None], trial: EvaluationContext, path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=INCHES, dpi=DOTS, layout="tight")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    paint(axes, trial)
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize="small")
    figure.savefig(path)


def _roc(axes: Any, trial: EvaluationContext) -> None:
    for label, answers in _models(trial).items():
        wrong, right = _rates(trial.test.target, answers)
        axes.plot(wrong, right, label=label)
    axes.plot([0, 1], [0, 1], ":", color="grey")
    axes.set(title="ROC", xlabel="false positive rate", ylabel="true positive rate")


def _precision_recall(axes: Any, trial: EvaluationContext) -> None:
    for label, answers in _models(trial).items():
        order = np.argsort(-answers, kind="stable")
        hits = np.cumsum(trial.test.target[order])
        places = _thin(len(hits))
        axes.plot(hits[places] / hits[-1], hits[places] / (places + 1), label=label)
    axes.axhline(trial.test.target.mean(), linestyle=":", color="grey")
    axes.set(title="Precision and recall", xlabel="recall", ylabel="precision", ylim=(0, 1.02))


def _reliability(axes: Any, trial: EvaluationContext) -> None:
    for label, answers in _models(trial).items():
        axes.plot(*_means(answers, trial.test.target), "o-", markersize=3, label=label)
    top = float(trial.test.predictions.max())
    axes.plot([0, top], [0, top], ":", color="grey")
    axes.set(title="Calibration", xlabel="predicted probability", ylabel="share that is positive")


def _predicted(axes: Any, trial: EvaluationContext) -> None:
    for label, answers in _models(trial).items():
        axes.plot(*_means(answers, trial.test.target), "o-", markersize=3, label=label)
    ends = [float(trial.test.predictions.min()), float(trial.test.predictions.max())]
    axes.plot(ends, ends, ":", color="grey")
    axes.set(title="Predicted and actual", xlabel="predicted", ylabel="actual mean")


def _residuals(axes: Any, trial: EvaluationContext) -> None:
    gaps = trial.test.target - trial.test.predictions
    low, high = np.quantile(gaps, [0.005, 0.995])
    axes.hist(np.clip(gaps, low, high), bins=60)
    axes.axvline(0, linestyle=":", color="grey")
    axes.set(title="Residuals", xlabel="actual - predicted", ylabel="rows")


def _confusion(axes: Any, trial: EvaluationContext) -> None:
    names, said = trial.use_case.label.classes, trial.test.predictions.argmax(axis=1)
    counts = np.zeros((len(names), len(names)))
    np.add.at(counts, (trial.test.target.astype(np.intp), said), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(counts.shape):
        text = f"{counts[row, column]:,.0f}\n{shares[row, column]:.0%}"
        axes.text(column, row, text, ha="center", va="center", fontsize="small")
    axes.set(title="Confusion", xlabel="predicted", ylabel="actual")
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)


def _cost(axes: Any, trial: EvaluationContext) -> None:
    cost = trial.use_case.cost
    if cost is None or cost.kind == "error":
        return
    for label, answers in _models(trial).items():
        thresholds, costs = curve(cost, trial.test.target, answers)
        places = _thin(len(costs))
        axes.plot(thresholds[places], costs[places], label=label)
    axes.axvline(trial.threshold, linestyle=":", color="grey", label=f"chosen: {trial.threshold:.3f}")
    axes.set(title="Cost over threshold", xlabel="threshold", ylabel=f"{cost.currency} per 1,000 rows")
    axes.set_xlim(0, 1)


def _models(trial: EvaluationContext) -> dict[str, Values]:
    models = {"candidate": trial.test.predictions}
    if trial.champion is not None:
        models[f"champion {trial.champion.version}"] = trial.champion.predictions
    return models | {"naive": trial.baseline}


def _rates(target: Values, answers: Values) -> tuple[Values, Values]:
    order = np.argsort(-answers, kind="stable")
    hits, misses = np.cumsum(target[order]), np.cumsum(1 - target[order])
    ends = np.append(np.flatnonzero(np.diff(answers[order])), len(order) - 1)
    places = np.append(0, ends[_thin(len(ends))])
    wrong, right = misses[places] / misses[-1], hits[places] / hits[-1]
    wrong[0], right[0] = 0, 0
    return wrong, right


def _means(answers: Values, target: Values) -> tuple[Values, Values]:
    bins = bins_of(answers, 15)
    rows = np.bincount(bins)
    return np.bincount(bins, answers) / rows, np.bincount(bins, target) / rows


def _thin(count: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, POINTS)).astype(np.intp))
