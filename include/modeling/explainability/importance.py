"""What a model's predictions depend on: over many rows, and for a single one."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from include.declarations import GREATER_IS_BETTER
from include.modeling.evaluation.metrics import compute_metrics
from include.modeling.training.fit import feature_columns

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd

    from include.declarations import UseCase
    from include.inference.model import ServedModel

EXPLANATIONS, PLOT = "explanations.json", "importance.png"
ROWS, REPEATS = 1_000, 3  # 3,000 predictions a feature, however large the test is


@dataclass(frozen=True, slots=True)
class Importance:
    """By how much the metric worsens when a feature's values are shuffled, and the deviation of that."""

    feature: str
    worse: float
    deviation: float


def write_importance(use_case: UseCase, model: ServedModel, test: pd.DataFrame, folder: Path) -> list[Path]:
    """Write the importance of every feature on the test rows into `folder`, as figures and as a plot."""
    found = importance(use_case, model, test)
    rows = min(len(test), ROWS)
    content = {"metric": use_case.metric, "rows": rows, "repeats": REPEATS, "method": "permutation"}
    figures, plot = folder / EXPLANATIONS, folder / PLOT
    figures.write_text(json.dumps(content | {"importance": [asdict(each) for each in found]}, indent=1))
    plot.write_bytes(
        draw_importance(found, f"{use_case.name}: {use_case.metric} without the feature, {rows} rows")
    )
    return [figures, plot]


def importance(
    use_case: UseCase,
    model: ServedModel,
    test: pd.DataFrame,
    *,
    rows: int = ROWS,
    repeats: int = REPEATS,
    seed: int = 0,
) -> list[Importance]:
    """
    Return the permutation importance (Breiman, Machine Learning 45, 2001) of every feature, greatest first.

    It is 0 where the metric is undefined, as a ranking is when there is one class only.
    """
    from sklearn.inspection import permutation_importance

    sample = test.sample(min(rows, len(test)), random_state=seed)
    sign = 1.0 if use_case.metric in GREATER_IS_BETTER else -1.0

    def score(fitted: _Fitted, frame: pd.DataFrame, target: Any) -> float:
        return sign * compute_metrics(use_case, fitted.model.predict(frame), target).get(use_case.metric, 0.0)

    frame = feature_columns(use_case, sample)
    found = permutation_importance(
        _Fitted(model), frame, sample["target"], scoring=score, n_repeats=repeats, random_state=seed
    )
    worse = zip(frame.columns, found.importances_mean, found.importances_std, strict=True)
    every = [Importance(name, float(mean), float(deviation)) for name, mean, deviation in worse]
    return sorted(every, key=lambda each: -each.worse)


def draw_importance(found: Sequence[Importance], title: str) -> bytes:
    """Return the importance of every feature as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 1 + 0.3 * len(found)), layout="constrained")
    axes = figure.add_subplot()
    names = [each.feature for each in reversed(found)]
    axes.barh(
        names, [each.worse for each in reversed(found)], xerr=[each.deviation for each in reversed(found)]
    )
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("worse by")
    axes.axvline(0, color="black", linewidth=0.8)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=100, metadata={"Software": None})
    return file.getvalue()


@dataclass(frozen=True, slots=True)
class _Fitted:
    """A served model, as scikit-learn wants to see one."""

    model: ServedModel

    def fit(self, *_: object) -> _Fitted:
        """Do nothing: it is fitted."""
        return self
