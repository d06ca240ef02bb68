"""Plots of an evaluation on the test rows, drawn by scikit-learn's displays where these exist."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from include.modeling.evaluation.costs import cost_curve
from include.modeling.evaluation.figures import render_png
from include.modeling.evaluation.metrics import equal_count_bins

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from include.modeling.evaluation.bootstrap import Values
    from include.modeling.evaluation.context import EvaluationContext

    Plot = Callable[[Any, EvaluationContext], None]

MAX_POINTS = 500
N_BINS = 15
SIZE_INCHES = (5.6, 4.2)
DOTS_PER_INCH = 90
REFERENCE_LINE = {"linestyle": ":", "color": "grey"}


def draw_evaluation(context: EvaluationContext, folder: Path) -> list[Path]:
    """Write the plots of the test rows as PNG files into `folder`; return their paths."""
    paths = []
    for name, plot in _plots_of(context).items():
        path = folder / f"{name}.png"
        _save(plot, context, path)
        paths.append(path)
    return paths


def _plots_of(context: EvaluationContext) -> dict[str, Plot]:
    """Return the plots of the task by file name."""
    if context.use_case.task == "multiclass":
        return {"confusion": _plot_confusion}
    if context.use_case.task == "regression":
        return {"residuals": _plot_residuals, "reliability": _plot_mean_actual}
    plots: dict[str, Plot] = {}
    if context.use_case.task == "binary":
        plots["reliability"] = _plot_calibration
    if len(np.unique(context.test.target)) > 1:
        plots |= {"roc": _plot_roc, "precision_recall": _plot_precision_recall}
    if context.use_case.cost is not None:
        plots["cost"] = _plot_cost
    return plots


def _save(plot: Plot, context: EvaluationContext, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE_INCHES, layout="tight")
    axes = figure.subplots()
    plot(axes, context)
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize="small")
    path.write_bytes(render_png(figure, dpi=DOTS_PER_INCH))


def _plot_roc(axes: Any, context: EvaluationContext) -> None:
    from sklearn.metrics import RocCurveDisplay

    for name, predictions in _predictions_by_model(context).items():
        RocCurveDisplay.from_predictions(context.test.target, predictions, name=name, ax=axes)
    axes.plot([0, 1], [0, 1], **REFERENCE_LINE)
    axes.set_title(f"ROC of {_positive_name(context)}")


def _plot_precision_recall(axes: Any, context: EvaluationContext) -> None:
    from sklearn.metrics import PrecisionRecallDisplay

    for name, predictions in _predictions_by_model(context).items():
        PrecisionRecallDisplay.from_predictions(
            context.test.target, predictions, name=name, ax=axes, drop_intermediate=True
        )
    axes.axhline(context.test.target.mean(), **REFERENCE_LINE)
    axes.set_title(f"Precision and recall of {_positive_name(context)}")


def _plot_calibration(axes: Any, context: EvaluationContext) -> None:
    from sklearn.calibration import CalibrationDisplay

    for name, predictions in _predictions_by_model(context).items():
        # The gate prediction_range reports what is no probability; the display would raise.
        CalibrationDisplay.from_predictions(
            context.test.target,
            np.clip(predictions, 0.0, 1.0),
            n_bins=N_BINS,
            strategy="quantile",
            name=name,
            ax=axes,
            ref_line=False,
            markersize=3,
        )
    highest = float(np.clip(context.test.predictions.max(), 0.0, 1.0))
    axes.plot([0, highest], [0, highest], **REFERENCE_LINE)
    axes.set_title(f"Calibration of {context.use_case.class_names[1]}")


def _plot_mean_actual(axes: Any, context: EvaluationContext) -> None:
    """Plot the mean of target and predictions per bin; scikit-learn's display shows single rows only."""
    target = context.test.target
    for name, predictions in _predictions_by_model(context).items():
        bins = equal_count_bins(predictions, N_BINS)
        rows = np.bincount(bins)
        means = np.bincount(bins, predictions) / rows
        axes.plot(means, np.bincount(bins, target) / rows, "o-", markersize=3, label=name)
    ends = [float(context.test.predictions.min()), float(context.test.predictions.max())]
    axes.plot(ends, ends, **REFERENCE_LINE)
    axes.set(title="Predicted and actual", xlabel="predicted", ylabel="actual mean")


def _plot_residuals(axes: Any, context: EvaluationContext) -> None:
    from sklearn.metrics import PredictionErrorDisplay

    PredictionErrorDisplay.from_predictions(
        context.test.target,
        context.test.predictions,
        kind="residual_vs_predicted",
        subsample=MAX_POINTS,
        random_state=0,
        scatter_kwargs={"s": 6, "alpha": 0.5},
        ax=axes,
    )
    axes.set_title("Residuals")


def _plot_confusion(axes: Any, context: EvaluationContext) -> None:
    from sklearn.metrics import ConfusionMatrixDisplay, confusion_matrix

    names = context.use_case.class_names
    codes = range(len(names))
    target = context.test.target.astype(np.intp)
    predicted = context.test.predictions.argmax(axis=1)
    counts = confusion_matrix(target, predicted, labels=codes)
    shares = confusion_matrix(target, predicted, labels=codes, normalize="true")
    display = ConfusionMatrixDisplay(shares, display_labels=names)
    display.plot(ax=axes, cmap="Blues", im_kw={"vmin": 0, "vmax": 1}, colorbar=False)
    for cell, text in np.ndenumerate(display.text_):
        text.set_text(f"{counts[cell]:,}\n{shares[cell]:.0%}")
    axes.set(title="Confusion", xlabel="predicted", ylabel="actual")


def _plot_cost(axes: Any, context: EvaluationContext) -> None:
    cost = context.use_case.cost
    if cost is None or cost.kind != "decision":
        return
    for name, predictions in _predictions_by_model(context).items():
        thresholds, costs = cost_curve(cost, context.test.target, predictions, context.test.frame)
        points = np.unique(np.linspace(0, len(costs) - 1, min(len(costs), MAX_POINTS)).astype(np.intp))
        axes.plot(thresholds[points], costs[points], label=name)
    axes.axvline(context.threshold, **REFERENCE_LINE, label=f"chosen: {context.threshold:.3f}")
    axes.set(title="Cost by threshold", xlabel="threshold", ylabel=f"{cost.currency} per 1,000 rows")
    axes.set_xlim(0, 1)


def _positive_name(context: EvaluationContext) -> str:
    names = context.use_case.class_names
    return names[1] if names else "injected anomalies"


def _predictions_by_model(context: EvaluationContext) -> dict[str, Values]:
    predictions = {"candidate": context.test.predictions}
    champion = context.champion
    if champion is not None and champion.predictions is not None:
        predictions[f"champion {champion.version}"] = champion.predictions
    return predictions | {"baseline": context.baseline}
