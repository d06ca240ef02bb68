"""Metrics of each task: their names, parameters, bounds and directions."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator

from include.errors import DeclarationError
from include.import_paths import import_function, require_parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Task = Literal["binary", "multiclass", "regression", "anomaly"]
Parameter = Literal["threshold", "k", "quantile"]

# Of a binary metric of decisions that names no threshold.
DEFAULT_THRESHOLD = 0.5
SEPARATOR = ":"
OWN_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+:[A-Za-z_]\w*")
# scikit-learn clips probabilities at 2.2e-16, whose logarithm is -36.04.
MAX_LOG_LOSS = 36.05
# Of the function that an own metric is.
OWN_PARAMETERS = ("target", "predictions", "weights")


@dataclass(frozen=True, slots=True)
class MetricKind:
    """
    What is known of a metric before it is measured.

    Attributes
    ----------
    tasks : tuple of Task
    greater_is_better : bool
    lowest, highest : float
        Bounds of its values.
    parameter : Parameter or None
        What follows the name after a colon: of a binary task only, the `threshold`; `k`; the `quantile`.
    measured : tuple of Task
        Tasks in which it is measured without being declared.
    """

    tasks: tuple[Task, ...]
    greater_is_better: bool = False
    lowest: float = 0.0
    highest: float = math.inf
    parameter: Parameter | None = None
    measured: tuple[Task, ...] = ()


CLASSIFICATION: tuple[Task, ...] = ("binary", "multiclass")
BINARY: tuple[Task, ...] = ("binary",)
MULTICLASS: tuple[Task, ...] = ("multiclass",)
REGRESSION: tuple[Task, ...] = ("regression",)
# Of the injected anomalies among the rows.
ANOMALY: tuple[Task, ...] = ("anomaly",)
ALL_TASKS = CLASSIFICATION + REGRESSION + ANOMALY
KINDS: dict[str, MetricKind] = {
    "roc_auc": MetricKind(CLASSIFICATION + ANOMALY, True, highest=1, measured=CLASSIFICATION + ANOMALY),
    "average_precision": MetricKind(CLASSIFICATION + ANOMALY, True, highest=1, measured=BINARY + ANOMALY),
    "log_loss": MetricKind(CLASSIFICATION, highest=MAX_LOG_LOSS, measured=CLASSIFICATION),
    "brier": MetricKind(BINARY, measured=BINARY),
    "accuracy": MetricKind(CLASSIFICATION, True, highest=1, parameter="threshold", measured=MULTICLASS),
    "balanced_accuracy": MetricKind(
        CLASSIFICATION, True, highest=1, parameter="threshold", measured=MULTICLASS
    ),
    "precision": MetricKind(BINARY, True, highest=1, parameter="threshold"),
    "recall": MetricKind(BINARY, True, highest=1, parameter="threshold"),
    "f1": MetricKind(BINARY, True, highest=1, parameter="threshold"),
    "matthews_corrcoef": MetricKind(CLASSIFICATION, True, lowest=-1, highest=1, parameter="threshold"),
    "precision_macro": MetricKind(MULTICLASS, True, highest=1),
    "recall_macro": MetricKind(MULTICLASS, True, highest=1),
    "f1_macro": MetricKind(MULTICLASS, True, highest=1, measured=MULTICLASS),
    "top_k_accuracy": MetricKind(MULTICLASS, True, highest=1, parameter="k"),
    "rmse": MetricKind(REGRESSION, measured=REGRESSION),
    "mae": MetricKind(REGRESSION, measured=REGRESSION),
    "r2": MetricKind(REGRESSION, True, lowest=-math.inf, highest=1, measured=REGRESSION),
    "mape": MetricKind(REGRESSION),
    "median_absolute_error": MetricKind(REGRESSION),
    "max_error": MetricKind(REGRESSION),
    "quantile_loss": MetricKind(REGRESSION, parameter="quantile"),
}
EXAMPLES: dict[Parameter, str] = {"threshold": "0.3", "k": "3", "quantile": "0.9"}
# The constant with the smallest loss is the median.
MEDIAN_METRICS = frozenset({"mae", "median_absolute_error", "mape"})


def _measured(task: Task) -> frozenset[str]:
    return frozenset(name for name, kind in KINDS.items() if task in kind.measured)


# Measured of every use case of a task; others where they are declared.
METRICS: dict[Task, frozenset[str]] = {
    "binary": _measured("binary"),
    "multiclass": _measured("multiclass"),
    "regression": _measured("regression"),
    "anomaly": _measured("anomaly"),
}
GREATER_IS_BETTER = frozenset(name for name, kind in KINDS.items() if kind.greater_is_better)


def is_own(metric: str) -> bool:
    """Return whether a metric is the import path of a function."""
    return OWN_PATH.fullmatch(metric) is not None


def own_metric(metric: str) -> Callable[..., Any]:
    """
    Return the function that an own metric is.

    Raises
    ------
    ValueError
        If there is none, or if it lacks its parameters or `greater_is_better`.
    """
    try:
        function = import_function(metric, "metric")
        require_parameters(function, OWN_PARAMETERS, "metric")
    except DeclarationError as error:
        raise ValueError(str(error)) from error
    name = metric.rpartition(SEPARATOR)[2]
    if getattr(function, "greater_is_better", None) not in {True, False}:
        raise ValueError(f"{metric}: set {name}.greater_is_better = True or False below the function")
    return function


def _kind_of(metric: str) -> MetricKind:
    if is_own(metric):
        is_better: bool = own_metric(metric).greater_is_better  # type: ignore[attr-defined]
        return MetricKind(ALL_TASKS, is_better, lowest=-math.inf)
    return KINDS[split_metric(metric)[0]]


def split_metric(metric: str) -> tuple[str, float | None]:
    """Return the name of a metric, and the number that follows it; None without one."""
    if is_own(metric):
        return metric, None
    name, _, number = metric.partition(SEPARATOR)
    return name, float(number) if number else None


def threshold_of(metric: str) -> float:
    """Return the probability from which a metric of decisions counts a row as positive."""
    number = split_metric(metric)[1]
    return DEFAULT_THRESHOLD if number is None else number


def is_greater_better(metric: str) -> bool:
    """Return whether a greater value of the metric is better."""
    return _kind_of(metric).greater_is_better


def bounds_of(metric: str, prediction_range: tuple[float, float] | None = None) -> tuple[float, float]:
    """Return the least and the greatest value that the metric can have, of predictions in a range."""
    kind = _kind_of(metric)
    highest = kind.highest
    if metric == "brier" and prediction_range is not None:
        highest = largest_error(prediction_range) ** 2
    return kind.lowest, highest


def span_of(metric: str, prediction_range: tuple[float, float] | None = None) -> float:
    """Return by how much two values of the metric can differ, of predictions in a range."""
    lowest, highest = bounds_of(metric, prediction_range)
    return highest - lowest


def largest_error(prediction_range: tuple[float, float]) -> float:
    """Return by how much a prediction in the range can differ from a target that is 0 or 1."""
    lowest, highest = prediction_range
    return max(highest, 1 - lowest)


def baseline_quantile(metric: str) -> float | None:
    """Return the quantile of the targets that is the best constant for the metric; None for their mean."""
    name, number = split_metric(metric)
    if name == "quantile_loss":
        return number
    return 0.5 if name in MEDIAN_METRICS else None


def require_metrics(metrics: Iterable[str], task: Task, n_classes: int, field: str) -> None:
    """Raise ValueError if a metric is none of the task's."""
    for metric in metrics:
        name, number = split_metric(metric)
        kind = _kind_of(metric)
        if task not in kind.tasks:
            names = ", ".join(sorted(_spell(name, task) for name in KINDS if task in KINDS[name].tasks))
            raise ValueError(f"{field} of a {task} task: unknown {metric}; there are {names}")
        if kind.parameter == "threshold" and number is not None and task != "binary":
            raise ValueError(f"{field}: {metric} has a threshold, and a {task} task has none; declare {name}")
        if kind.parameter == "k" and number is not None and number >= n_classes:
            raise ValueError(f"{field}: {metric} of {n_classes} classes is always 1; declare a smaller k")


def _require_metric(metric: str) -> str:
    """Return the metric as it is written everywhere; raise ValueError if there is none of that name."""
    if is_own(metric):
        return metric
    name, separator, text = metric.partition(SEPARATOR)
    kind = KINDS.get(name)
    if kind is None:
        names = ", ".join(sorted(KINDS))
        raise ValueError(
            f"unknown metric {metric}; there are {names}, and functions of yours, such as "
            "include.my.metrics:name"
        )
    if not separator:
        if kind.parameter in {"k", "quantile"}:
            raise ValueError(f"{name} needs its {kind.parameter}: declare {_spell(name, kind.tasks[0])}")
        return name
    if kind.parameter is None:
        raise ValueError(f"{metric}: {name} takes no number; declare {name}")
    number = _as_float(text)
    is_valid = number >= 1 and number.is_integer() if kind.parameter == "k" else 0 < number < 1
    if not is_valid:
        limits = "a whole number from 1" if kind.parameter == "k" else "between 0 and 1"
        raise ValueError(
            f"{metric}: the {kind.parameter} must be {limits}, such as {_spell(name, kind.tasks[0])}"
        )
    if kind.parameter == "threshold" and number == DEFAULT_THRESHOLD:
        return name
    return f"{name}{SEPARATOR}{number:.12g}"


def _as_float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _spell(name: str, task: Task) -> str:
    parameter = KINDS[name].parameter
    if parameter is None or (parameter == "threshold" and task != "binary"):
        return name
    example = f"{name}{SEPARATOR}{EXAMPLES[parameter]}"
    return f"{name} or {example}" if parameter == "threshold" else example


Metric = Annotated[str, AfterValidator(_require_metric)]
