"""How a metric changes with boosting rounds or with rows, on training and on validation days."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from sklearn.base import clone

from include.declarations import GREATER_IS_BETTER
from include.modeling.evaluation.metrics import as_predictions, compute_metrics, predict
from include.modeling.training.estimator import (
    final_estimator,
    fit_estimator,
    n_iterations,
    transform_features,
)

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    from include.declarations import UseCase

POINTS = 20
SAMPLE = 5_000  # rows of each split that are measured
SHARES = (0.1, 0.3)  # of the rows, for what has no rounds: less than half of another fit
Over = Literal["rounds", "rows"]


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """The metric on training and validation rows after so many `steps`: rounds, or rows learnt from."""

    metric: str
    over: Over
    steps: tuple[int, ...]
    train: tuple[float, ...]
    validation: tuple[float, ...]

    @property
    def gap(self) -> float:
        """How much better the metric is on training rows at the end: the overfitting gap."""
        difference = self.train[-1] - self.validation[-1]
        return difference if self.metric in GREATER_IS_BETTER else -difference

    @property
    def figures(self) -> dict[str, float]:
        """The gap, and where the curve ends."""
        ends = {"train": self.train[-1], "validation": self.validation[-1], "gap": self.gap}
        return {f"learning_curve.{name}": value for name, value in ends.items()}

    @property
    def series(self) -> dict[str, dict[int, float]]:
        """Both curves by step."""
        both = {"train": self.train, "validation": self.validation}
        return {
            f"learning_curve.{self.metric}.{name}": dict(zip(self.steps, values, strict=True))
            for name, values in both.items()
        }


def learning_curve(
    use_case: UseCase, estimator: Any, train: pd.DataFrame, validation: pd.DataFrame
) -> LearningCurve | None:
    """
    Return the curve of the use case's metric for a fitted estimator; None without validation rows.

    Boosting is followed round by round, which costs predictions only; anything else is fitted again on the
    newest tenth and the newest three tenths of the rows. At most 5,000 rows of each split are measured.
    """
    if not len(validation):
        return None
    seen, unseen = (_sample(part, use_case.training.seed) for part in (train, validation))
    curve = _by_round(use_case, estimator, seen, unseen)
    if curve is None and hasattr(estimator, "get_params"):
        curve = _by_rows(use_case, estimator, train, seen, unseen)
    defined = curve is not None and np.isfinite([*curve.train, *curve.validation]).all()
    return curve if defined else None


def draw_learning_curve(curve: LearningCurve, title: str) -> bytes:
    """Return the curve as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for name, values in (("training days", curve.train), ("validation days", curve.validation)):
        axes.plot(curve.steps, values, marker="o", markersize=3, label=name)
    axes.set(title=f"{title}: gap {curve.gap:+.4g}", xlabel=curve.over, ylabel=curve.metric)
    axes.grid(alpha=0.3)
    axes.legend()
    page = io.BytesIO()
    figure.savefig(page, format="png", dpi=110, metadata={"Software": None})
    return page.getvalue()


def _by_round(
    use_case: UseCase, estimator: Any, seen: pd.DataFrame, unseen: pd.DataFrame
) -> LearningCurve | None:
    rounds = n_iterations(estimator)
    if rounds is None:
        return None
    steps = tuple(int(step) for step in np.unique(np.linspace(1, rounds, min(POINTS, rounds)).round()))
    answers = [_staged(use_case, estimator, part, steps) for part in (seen, unseen)]
    if not all(len(each) == len(steps) for each in answers):
        return None
    curves = [
        tuple(_metric(use_case, answer, part) for answer in each)
        for each, part in zip(answers, (seen, unseen), strict=True)
    ]
    return LearningCurve(use_case.metric, "rounds", steps, *curves)


def _by_rows(
    use_case: UseCase, estimator: Any, train: pd.DataFrame, seen: pd.DataFrame, unseen: pd.DataFrame
) -> LearningCurve:
    fitted = []
    for share in SHARES:
        rows = train.tail(max(1, round(share * len(train))))
        if use_case.task == "regression" or rows["target"].nunique() == train["target"].nunique():
            model = fit_estimator(use_case, clone(estimator), rows, unseen).estimator
            fitted.append((len(rows), model, _sample(rows, use_case.training.seed)))
    fitted.append((len(train), estimator, seen))
    steps, models, samples = zip(*fitted, strict=True)
    both = [
        tuple(
            _metric(use_case, predict(model, use_case.task, rows[list(use_case.features)]), rows)
            for model, rows in zip(models, parts, strict=True)
        )
        for parts in (samples, [unseen] * len(models))
    ]
    return LearningCurve(use_case.metric, "rows", tuple(steps), *both)


def _staged(
    use_case: UseCase, estimator: Any, part: pd.DataFrame, steps: tuple[int, ...]
) -> list[npt.NDArray[np.float64]]:
    """Return the answers after so many rounds each; nothing for an estimator that cannot tell them."""
    last, method = final_estimator(estimator), "predict" if use_case.task == "regression" else "predict_proba"
    rows = transform_features(estimator, part[list(use_case.features)])
    if type(last).__module__.startswith("lightgbm."):
        answers = [getattr(last, method)(rows, num_iteration=step) for step in steps]
    elif hasattr(last, f"staged_{method}"):
        every = enumerate(getattr(last, f"staged_{method}")(rows), start=1)
        answers = [answer for step, answer in every if step in steps]
    else:
        answers = []
    return [as_predictions(answer, use_case.task) for answer in answers]


def _metric(use_case: UseCase, answers: npt.NDArray[np.float64], part: pd.DataFrame) -> float:
    return compute_metrics(use_case, answers, part["target"]).get(use_case.metric, float("nan"))


def _sample(part: pd.DataFrame, seed: int) -> pd.DataFrame:
    return part.sample(SAMPLE, random_state=seed) if len(part) > SAMPLE else part
