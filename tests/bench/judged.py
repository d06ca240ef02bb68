"""An evaluation of a regression with all of its gates on 200,000 test rows."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pandas as pd

from include.declarations import (
    METRICS,
    Budget,
    BusinessValue,
    Fairness,
    GoldenCase,
    GoldenPredictions,
    Improvement,
    Leakage,
    Overfitting,
    Robustness,
    SignatureCompatibility,
    Threshold,
)
from include.modeling import gates
from include.modeling.evaluation.bootstrap import UnitBootstrap
from include.modeling.evaluation.comparison import paired_gain
from include.modeling.evaluation.metrics.resampled import resample_metric
from include.modeling.pipeline import evaluate as evaluation
from include.modeling.pipeline import workspace
from include.modeling.pipeline.workspace import Workspace
from include.settings import settings
from include.specifications import declared_specification

if TYPE_CHECKING:
    from collections.abc import Callable

    from include.catalog import Catalog
    from include.declarations import UseCase
    from include.inference.model import ServedModel
    from include.modeling.pipeline.workspace import TrainedCandidate
    from include.modeling.registry.registry import Registry

TEST_ROWS = 200_000
SANTA_FE = {
    "carrier": "UA", "origin": "EWR", "dest": "SFO", "distance": 2565.0, "hour": 8, "wind_speed": 10.0,
    "pressure": 1012.0,
}  # fmt: skip
GATES = (
    Threshold(metric="mae", maximum=60),
    Improvement(metric="mae", severity="info"),
    Overfitting(metric="mae", maximum_gap=60),
    Fairness(column="origin", metrics=("mae", "rmse"), maximum_gap=30),
    Fairness(column="carrier", metrics=("mae",), maximum_gap=60),
    Robustness(
        noise={"wind_speed": 2, "pressure": 1, "distance": 1},
        missing=("wind_speed", "pressure"),
        unseen=("carrier", "origin", "dest"),
        extremes=("wind_speed",),
        tolerance=60,
    ),
    Leakage(maximum=0.999),
    GoldenPredictions(cases=(GoldenCase(name="to_california", row=SANTA_FE, minimum=200, maximum=500),)),
    Budget(maximum_latency_ms=5_000, maximum_size_ratio=10, maximum_latency_ratio=100),
    SignatureCompatibility(),
    BusinessValue(severity="info"),
)


def with_all_gates(case: UseCase) -> UseCase:
    """Return the use case with these gates instead of its own."""
    return case.model_copy(update={"gates": GATES})


def enlarge(case: UseCase, frame: pd.DataFrame, declarations: Catalog) -> pd.DataFrame:
    """Return the rows with copies of the test rows; each copy has an entity of its own."""
    specification = declared_specification(case, declarations)
    parts = workspace.split_snapshot(specification, frame)
    key = specification.entity[0]
    copies = TEST_ROWS // len(parts.test) + 1
    test_parts = [parts.test.assign(**{key: parts.test[key] + f"/{copy}"}) for copy in range(copies)]
    test = pd.concat(test_parts, ignore_index=True).head(TEST_ROWS)
    return pd.concat([parts.train, parts.validation, test], ignore_index=True)


def evaluate(
    registry: Registry, case: UseCase, trained: TrainedCandidate, frame: pd.DataFrame, champion_version: int
) -> None:
    """Evaluate as the task does and judge every gate."""
    with TemporaryDirectory() as workdir:
        candidate_workspace = Workspace(registry, case, Path(workdir), settings().signing_key.parent)
        evidence = evaluation.evaluate_candidate(
            candidate_workspace, trained, frame, champion_version=champion_version
        )
        verdicts = gates.judge_gates(case, evidence)
    failures = [verdict.reason for verdict in verdicts if verdict.reason.startswith("could not be judged")]
    if failures:
        raise SystemExit("; ".join(failures))


def needed_work(case: UseCase, model: ServedModel, test: pd.DataFrame) -> tuple[Callable[[], object], ...]:
    """Return two functions to measure: the predictions of the test rows, and the bootstrap."""
    target = test["_airworthy_target"].to_numpy(dtype=float)
    predictions = model.predict(test)
    days = UnitBootstrap.of_days(test["_airworthy_day"])

    def bootstrap() -> None:
        for metric in METRICS[case.task]:
            days.interval(resample_metric(metric, target, predictions, days), confidence=0.975, value=0.0)
        paired_gain(case.metric, target, predictions, predictions, confidence=0.95, units=days)

    return lambda: model.predict(test), bootstrap
