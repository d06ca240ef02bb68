"""Candidates with a function as the model and rows as a gate needs them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from include.data.snapshots.leakage_history import LeakageRecord
from include.data.snapshots.splits import Splits
from include.declarations import DecisionCost, Robustness, Threshold
from include.modeling.evaluation.context import ChampionInput, PackagedModel, build_context
from include.modeling.evaluation.evidence import ChampionComparison, Evidence, Gain, Measurement
from include.modeling.evaluation.isolated_process import ProcessMeasurement
from include.modeling.gates import judge_gates
from include.modeling.gates.mandatory import PARITY_ROWS
from include.modeling.pipeline.collect_evidence import collect_evidence
from include.use_cases.air_time import USE_CASE as AIR_TIME
from include.use_cases.flight_delay import USE_CASE as FLIGHT_DELAY
from tests.include.conftest import make_flights

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

COLUMNS = {
    "carrier": "string", "origin": "string", "dest": "string", "hour": "long", "weekday": "long",
    "distance": "double", "temp": "double", "wind_speed": "double", "pressure": "double",
}  # fmt: skip
SAME_PREDICTIONS = Measurement(figures={"largest_gap": 0.0}, rows=50)
EVIDENCE = Evidence(
    metrics={"train": {"roc_auc": 0.75, "log_loss": 0.4}, "test": {"roc_auc": 0.7, "log_loss": 0.45}},
    rows={"train": 900, "test": 100},
    overlap=0,
    prediction_range=(0.01, 0.9),
    units=14,
    measurements={
        "golden/block": SAME_PREDICTIONS, "parity/block": SAME_PREDICTIONS, "signature/block": Measurement(),
        "determination/block": Measurement(figures={"determinants": 0, "finding": ""}, rows=900),
    },
)  # fmt: skip
PASSED = LeakageRecord("flight_features", passed=60)


@dataclass
class Model:
    """Model that predicts by a function, and counts the rows it was asked for."""

    function: Callable[[pd.DataFrame], Any]
    columns: dict[str, str] = field(default_factory=lambda: dict(COLUMNS))
    task: str = "binary"
    classes: tuple[str, ...] = ()
    positive: str | None = "above 15"
    decision: Any = None
    interface: Any = field(
        default_factory=lambda: SimpleNamespace(ignores_unknown=False, states_missing=True)
    )
    n_rows: int = 0
    isolated: ProcessMeasurement | None = None

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        self.n_rows += len(frame)
        return np.asarray(self.function(frame[list(self.columns)]), dtype=float)


def chance(odds: Any) -> Any:
    return 1 / (1 + np.exp(-np.asarray(odds, dtype=float)))


def sound(frame: pd.DataFrame) -> Any:
    """Return the true probability of the flights of `make_flights`: windy evenings are late."""
    wind = frame["wind_speed"].fillna(10)
    return chance((frame["hour"] - 14) / 3 + (wind - 10) / 2 - 1)


def minutes(frame: pd.DataFrame) -> Any:
    """Return the true expectation of their time in the air."""
    return frame["distance"] / 7 + frame["wind_speed"].fillna(10)


def process_measurement(predictions: Any, **changes: float) -> ProcessMeasurement:
    figures = {"latency_p50_ms": 2.0, "latency_p99_ms": 4.0, "size_mb": 1.0, "memory_mb": 200.0}
    return ProcessMeasurement(predictions=tuple(predictions), **figures | changes)


def packaged_model(model: Any, measurement: ProcessMeasurement | None = None) -> PackagedModel:
    """Return a model without files; an isolated process has measured `measurement`."""
    isolated = None if measurement is None else lambda: measurement
    return PackagedModel(Path("no files"), model, isolated)


def parity_predictions() -> Any:
    """Return the predictions of `sound` for the test rows that an isolated process predicts."""
    frame = make_flights(days=60, a_day=60)
    test = frame[frame["_airworthy_day"] >= "2013-02-11"]
    return sound(test.iloc[np.linspace(0, len(test) - 1, PARITY_ROWS).astype(int)])


def against_champion(
    *,
    lower: float = 0.01,
    upper: float = 0.03,
    overlap: int | None = 0,
    metric: str = "log_loss",
    confidence: float = 0.95,
    refusals: int = 0,
    units: int = 14,
) -> Evidence:
    """Return evidence with a gain on the champion between these bounds."""
    gain = Gain(metric, (lower + upper) / 2, lower, upper, confidence, units, "bootstrap")
    champion = ChampionComparison(version=3, metrics={"log_loss": 0.5}, gains=(gain,), overlap=overlap)
    return EVIDENCE.model_copy(update={"champion": champion, "refusals": refusals})


@pytest.fixture
def verdict_of(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return a function that evaluates a candidate and returns the verdict of one gate."""

    def judge_one(gate: Any, function: Callable[[pd.DataFrame], Any] = sound, **how: Any) -> Any:
        verdicts = {verdict.gate: verdict for verdict in verdicts_of((gate,), function, **how)}
        return verdicts[gate.name]

    return judge_one


def verdicts_of(
    gates: tuple[Any, ...],
    function: Callable[[pd.DataFrame], Any] = sound,
    *,
    task: str = "binary",
    rows: Callable[[pd.DataFrame], pd.DataFrame] = lambda frame: frame,
    champion: Model | None = None,
    isolated: ProcessMeasurement | None = None,
    leakage: LeakageRecord | None = PASSED,
    **changes: Any,
) -> Any:
    base = FLIGHT_DELAY if task == "binary" else AIR_TIME
    use_case = base.model_copy(
        update={"gates": gates, "features": tuple(COLUMNS), "cost": None, "baseline_by": ("hour",), **changes}
    )
    frame = rows(make_flights(days=60, a_day=60, task=task))
    days = frame["_airworthy_day"].to_numpy()
    train = frame[days < "2013-02-01"]
    validation = frame[(days >= "2013-02-01") & (days < "2013-02-11")]
    test = frame[days >= "2013-02-11"]
    context = build_context(
        use_case,
        Splits(train, validation, test),
        packaged_model(Model(function, task=task), isolated),
        champion=ChampionInput(3, packaged_model(champion, champion.isolated), test) if champion else None,
    )
    evidence = collect_evidence(context, overlap=0, champion_overlap=0, refusals=0, leakage=leakage)
    return judge_gates(use_case, evidence)


GATES = {
    "binary": (
        Threshold(metric="roc_auc", minimum=0.99),
        Robustness(noise={"wind_speed": 0.5}, rows=100),
    ),
    "regression": (Threshold(metric="mae", maximum=9),),
}


def evaluated(task: str = "binary", function: Callable[[pd.DataFrame], Any] = sound) -> Any:
    """Return use case, context and evidence of a candidate on 30 days."""
    base = FLIGHT_DELAY if task == "binary" else AIR_TIME
    cost = DecisionCost(currency="EUR", false_positive=1, false_negative=4)
    use_case = base.model_copy(
        update={"gates": GATES[task], "features": tuple(COLUMNS), "baseline_by": ("hour",)}
        | ({"cost": cost} if task == "binary" else {})
    )
    frame = make_flights(days=30, task=task)
    splits = Splits(
        frame[frame["_airworthy_day"] <= "2013-01-15"],
        frame[(frame["_airworthy_day"] > "2013-01-15") & (frame["_airworthy_day"] <= "2013-01-20")],
        frame[frame["_airworthy_day"] > "2013-01-20"],
    )
    context = build_context(use_case, splits, packaged_model(Model(function, task=task)))
    evidence = collect_evidence(context, overlap=0, champion_overlap=None, refusals=0)
    return use_case, context, evidence
