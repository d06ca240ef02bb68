"""The evaluation of a version again, on what its server answers to the test rows."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np

from include.data.snapshots.target_encoding import TARGET
from include.errors import ModelError
from include.feature_values import request_values, specified_kinds
from include.modeling.evaluation.metrics import compute_metrics, metric_function

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    import pandas as pd

    from include.declarations.specification import Specification
    from include.inference.model import ServedModel

    Values = npt.NDArray[np.float64]

# More test rows are sampled.
MAX_TEST_ROWS = 20_000
ROWS_PER_REQUEST = 500
REQUEST_TIMEOUT_S = 60.0
# A metric may differ by this part of itself, that of a sample by so many standard errors more.
RELATIVE_TOLERANCE = 1e-3
STANDARD_ERRORS = 4.0
N_RESAMPLES = 100
SEED = 0


@dataclass(frozen=True, slots=True)
class ServedEvaluation:
    """What differs from the evaluation, empty if nothing does, and the metrics of the served answers."""

    problem: str
    figures: dict[str, float | int | str] = field(default_factory=dict)


def evaluate_package(
    specification: Specification, test: pd.DataFrame, model: ServedModel
) -> dict[str, float]:
    """
    Return the metrics of what a package predicts in this process for the test rows.

    A version that was fitted again on all rows has learnt from them, so that they say nothing about its
    quality, but its server must reach the same.
    """
    return compute_metrics(specification.use_case, model.predict(test), test[TARGET])


def evaluate_served(
    specification: Specification,
    test: pd.DataFrame,
    evaluated: Mapping[str, float],
    address: str,
    headers: Mapping[str, str],
    *,
    reference: str = "in the evaluation",
) -> ServedEvaluation:
    """
    Send the test rows to a server, and compare the metrics of its answers with those of the evaluation.

    Of more than `MAX_TEST_ROWS` rows, a sample is sent; then only the metric of the use case is compared, and
    `STANDARD_ERRORS` more are allowed.

    Parameters
    ----------
    specification
        Specification of the version.
    test
        Test rows (n) with all features and the target.
    evaluated
        Metrics of the test rows in the evaluation, or of the package by itself.
    address, headers
        Where invocations are sent, and the headers of each request.
    reference
        Origin of `evaluated`, in words.
    """
    use_case = specification.use_case
    rows = test
    if len(test) > MAX_TEST_ROWS:
        rows = test.sample(MAX_TEST_ROWS, random_state=SEED)
    try:
        predictions = _ask_all(specification, rows, address, headers)
        metrics = compute_metrics(use_case, predictions, rows[TARGET])
    except (httpx.HTTPError, ModelError, ValueError, KeyError, TypeError) as error:
        return ServedEvaluation(f"the test rows were not answered: {type(error).__name__}: {error}")
    is_sample = len(rows) < len(test)
    compared = [use_case.metric] if is_sample else sorted(metrics.keys() & evaluated.keys())
    figures: dict[str, float | int | str] = {"test_rows": len(rows)}
    problems = []
    for name in compared:
        served = metrics.get(name, math.nan)
        figures[f"served_{name}"] = served
        target = rows[TARGET].to_numpy(dtype=np.float64)
        chance = STANDARD_ERRORS * _standard_error(name, target, predictions) if is_sample else 0.0
        problems.append(_describe_gap(name, (served, evaluated[name]), chance, reference))
    return ServedEvaluation("; ".join(filter(None, problems)), figures)


def _describe_gap(name: str, values: tuple[float, float], chance: float, reference: str) -> str:
    """Return how a served metric differs from the expected one; empty within the tolerance."""
    served, evaluated = values
    allowed = RELATIVE_TOLERANCE * max(abs(evaluated), RELATIVE_TOLERANCE) + chance
    # NaN is a difference, too.
    if abs(served - evaluated) <= allowed:
        return ""
    return (
        f"{name} of the served answers is {served:.6g}, {reference} it was {evaluated:.6g}, and "
        f"{allowed:.2g} is the tolerance"
    )


def _ask_all(
    specification: Specification, rows: pd.DataFrame, address: str, headers: Mapping[str, str]
) -> Values:
    """Return the served predictions of rows, shape (n,) or (n, n_classes)."""
    kinds = specified_kinds(specification)
    columns = {name: request_values(rows[name], kind) for name, kind in kinds.items()}
    data = list(zip(*columns.values(), strict=True))
    predictions: list[Any] = []
    with httpx.Client(timeout=REQUEST_TIMEOUT_S, headers=dict(headers), trust_env=False) as client:
        for start in range(0, len(data), ROWS_PER_REQUEST):
            part = {"columns": list(columns), "data": data[start : start + ROWS_PER_REQUEST]}
            # Times are the only values that JSON does not have.
            body = json.dumps({"dataframe_split": part}, default=lambda moment: moment.isoformat())
            response = client.post(address, content=body, headers={"Content-Type": "application/json"})
            if not response.is_success:
                raise ValueError(f"{response.status_code} {response.text[:300]}")
            predictions += response.json()["predictions"]
    if len(predictions) != len(rows):
        raise ValueError(f"{len(predictions)} predictions for {len(rows)} rows")
    return np.asarray(predictions, dtype=np.float64)


def _standard_error(metric: str, target: Values, predictions: Values) -> float:
    """Return the bootstrap's standard error of a metric."""
    random = np.random.default_rng(SEED)
    function = metric_function(metric)
    values = []
    for _ in range(N_RESAMPLES):
        drawn = random.integers(0, len(target), len(target))
        values.append(float(function(target[drawn], predictions[drawn])))
    return float(np.nanstd(values))
