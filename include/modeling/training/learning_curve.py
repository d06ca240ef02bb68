"""Learning curves: a metric by boosting rounds or by rows, on training and validation rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from sklearn.base import clone

from include.data.snapshots.target_encoding import TARGET
from include.declarations import is_greater_better
from include.modeling.evaluation.figures import render_png
from include.modeling.evaluation.metrics import as_predictions, compute_metrics, predict
from include.modeling.training.estimator import (
    final_estimator,
    fit_estimator,
    n_iterations,
    transform_features,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import pandas as pd

    from include.declarations import UseCase

MAX_POINTS = 20
MAX_ROWS = 5_000
# Shares of the training rows for estimators without rounds: together less than half of another fit.
ROW_SHARES = (0.1, 0.3)
StepUnit = Literal["rounds", "rows"]


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """
    A metric by step, on training and on validation rows.

    Parameters
    ----------
    metric
        Name of the metric.
    over
        Unit of `steps`: boosting rounds, or training rows.
    steps
        Increasing steps (n).
    train, validation
        Values of the metric at the steps (n each).
    """

    metric: str
    over: StepUnit
    steps: tuple[int, ...]
    train: tuple[float, ...]
    validation: tuple[float, ...]

    @property
    def gap(self) -> float:
        """Overfitting gap: how much better the metric is on training rows at the last step."""
        difference = self.train[-1] - self.validation[-1]
        return difference if is_greater_better(self.metric) else -difference

    @property
    def figures(self) -> dict[str, float]:
        """Metrics to log: both values at the last step, and the gap."""
        values = {"train": self.train[-1], "validation": self.validation[-1], "gap": self.gap}
        return {f"learning_curve.{name}": value for name, value in values.items()}

    @property
    def series(self) -> dict[str, dict[int, float]]:
        """Metrics to log by step: both curves."""
        curves = {"train": self.train, "validation": self.validation}
        return {
            f"learning_curve.{self.metric}.{name}": dict(zip(self.steps, values, strict=True))
            for name, values in curves.items()
        }


def learning_curve(
    use_case: UseCase, estimator: Any, train: pd.DataFrame, validation: pd.DataFrame
) -> LearningCurve | None:
    """
    Return the learning curve of the use case's metric.

    For boosting, the staged predictions of the fitted estimator are measured. Other estimators are fitted
    again on 10 % and on 30 % of the training rows, the newest ones of a split by time. At most 5,000 rows of
    each split are measured.

    Parameters
    ----------
    use_case
        Use case whose metric is measured.
    estimator
        Estimator that was fitted on `train`.
    train, validation
        Rows with the features and `TARGET`.

    Returns
    -------
    LearningCurve or None
        None if there are no validation rows, if the estimator can neither be followed nor cloned, or if the
        metric is undefined at a step, or there is no label.
    """
    if not len(validation) or use_case.label.is_absent:
        return None
    train_sample = _sample(train, use_case.training.seed)
    validation_sample = _sample(validation, use_case.training.seed)
    curve = _curve_by_round(use_case, estimator, train_sample, validation_sample)
    unfitted = _unfitted(estimator)
    if curve is None and unfitted is not None:
        curve = _curve_by_rows(use_case, (estimator, unfitted), train, train_sample, validation_sample)
    if curve is None or not np.isfinite([*curve.train, *curve.validation]).all():
        return None
    return curve


def draw_learning_curve(curve: LearningCurve, title: str) -> bytes:
    """Return the curve as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for name, values in (("training rows", curve.train), ("validation rows", curve.validation)):
        axes.plot(curve.steps, values, marker="o", markersize=3, label=name)
    axes.set(title=f"{title}: gap {curve.gap:+.4g}", xlabel=curve.over, ylabel=curve.metric)
    axes.grid(alpha=0.3)
    axes.legend()
    return render_png(figure)


def _curve_by_round(
    use_case: UseCase, estimator: Any, train_sample: pd.DataFrame, validation_sample: pd.DataFrame
) -> LearningCurve | None:
    n_rounds = n_iterations(estimator)
    if n_rounds is None:
        return None
    n_points = min(MAX_POINTS, n_rounds)
    steps = tuple(int(step) for step in np.unique(np.linspace(1, n_rounds, n_points).round()))
    curves = []
    for frame in (train_sample, validation_sample):
        staged = _staged_predictions(use_case, estimator, frame, steps)
        if len(staged) != len(steps):
            return None
        curves.append(tuple(_metric_value(use_case, predictions, frame) for predictions in staged))
    return LearningCurve(use_case.metric, "rounds", steps, *curves)


def _unfitted(estimator: Any) -> Any | None:
    """Return an unfitted copy; None of an estimator that cannot be cloned."""
    if not hasattr(estimator, "get_params"):
        return None
    try:
        return clone(estimator)
    # CatBoost's with cat_features: the constructor changes its arguments.
    except (RuntimeError, TypeError):
        return None


def _curve_by_rows(
    use_case: UseCase,
    estimators: tuple[Any, Any],
    train: pd.DataFrame,
    train_sample: pd.DataFrame,
    validation_sample: pd.DataFrame,
) -> LearningCurve:
    steps: list[int] = []
    train_values: list[float] = []
    validation_values: list[float] = []

    def add_step(n_rows: int, fitted: Any, fitted_sample: pd.DataFrame) -> None:
        steps.append(n_rows)
        train_values.append(_evaluate(use_case, fitted, fitted_sample))
        validation_values.append(_evaluate(use_case, fitted, validation_sample))

    estimator, unfitted = estimators
    for share in ROW_SHARES:
        rows = _share_of(train, share, use_case)
        if use_case.task == "regression" or rows[TARGET].nunique() == train[TARGET].nunique():
            fitted = fit_estimator(use_case, clone(unfitted), rows, validation_sample).estimator
            add_step(len(rows), fitted, _sample(rows, use_case.training.seed))
    add_step(len(train), estimator, train_sample)
    return LearningCurve(use_case.metric, "rows", tuple(steps), tuple(train_values), tuple(validation_values))


def _share_of(train: pd.DataFrame, share: float, use_case: UseCase) -> pd.DataFrame:
    count = max(1, round(share * len(train)))
    if use_case.split.by == "entity":
        return train.sample(count, random_state=use_case.training.seed)
    return train.tail(count)


def _staged_predictions(
    use_case: UseCase, estimator: Any, frame: pd.DataFrame, steps: Sequence[int]
) -> list[npt.NDArray[np.float64]]:
    """Return the predictions after each of the rounds `steps`; none if the estimator has no staged ones."""
    last = final_estimator(estimator)
    method = "predict" if use_case.task == "regression" else "predict_proba"
    rows = transform_features(estimator, frame[list(use_case.features)])
    if type(last).__module__.startswith("lightgbm."):
        outputs = [getattr(last, method)(rows, num_iteration=step) for step in steps]
    elif type(last).__module__.startswith("xgboost."):
        outputs = [getattr(last, method)(rows, iteration_range=(0, step)) for step in steps]
    elif hasattr(last, f"staged_{method}"):
        all_rounds = enumerate(getattr(last, f"staged_{method}")(rows), start=1)
        outputs = [output for step, output in all_rounds if step in steps]
    else:
        outputs = []
    return [as_predictions(output, use_case.task) for output in outputs]


def _evaluate(use_case: UseCase, estimator: Any, frame: pd.DataFrame) -> float:
    predictions = predict(estimator, use_case.task, frame[list(use_case.features)])
    return _metric_value(use_case, predictions, frame)


def _metric_value(use_case: UseCase, predictions: npt.NDArray[np.float64], frame: pd.DataFrame) -> float:
    metric = use_case.metric
    return compute_metrics(use_case, predictions, frame[TARGET], only={metric}).get(metric, float("nan"))


def _sample(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    return frame.sample(MAX_ROWS, random_state=seed) if len(frame) > MAX_ROWS else frame
