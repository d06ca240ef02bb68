"""Candidates made so that a gate has something to find: a function as the model, rows as they are needed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from include.data.snapshots.leakage_history import LeakageRecord
from include.data.snapshots.splits import Splits
from include.modeling.evaluation.context import ChampionScores, build_context
from include.modeling.evaluation.isolated_process import ProcessMeasurement
from include.modeling.gates import judge_gates
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
PASSED = LeakageRecord("flight_features", passed=60)
TAKES = {"long": "integer", "double": "double", "string": "string"}


@dataclass
class Model:
    """Answers whatever its function says, and counts how many rows it was asked."""

    function: Callable[[pd.DataFrame], Any]
    columns: dict[str, str] = field(default_factory=lambda: dict(COLUMNS))
    task: str = "binary"
    classes: tuple[str, ...] = ()
    asked: int = 0

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        self.asked += len(frame)
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


def answers(predictions: Any, **changes: float) -> ProcessMeasurement:
    usual = {"latency_p50_ms": 2.0, "latency_p99_ms": 4.0, "size_mb": 1.0, "memory_mb": 200.0}
    return ProcessMeasurement(predictions=tuple(predictions), **usual | changes)


@pytest.fixture
def verdict_of(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return a way to try a candidate: declare gates, give its function, get the verdict of one gate."""

    def look(gate: Any, function: Callable[[pd.DataFrame], Any] = sound, **how: Any) -> Any:
        found = {verdict.gate: verdict for verdict in verdicts_of((gate,), function, **how)}
        return found[gate.name]

    return look


def verdicts_of(
    gates: tuple[Any, ...],
    function: Callable[[pd.DataFrame], Any] = sound,
    *,
    task: str = "binary",
    rows: Callable[[pd.DataFrame], pd.DataFrame] = lambda frame: frame,
    champion: Model | None = None,
    fresh: ProcessMeasurement | None = None,
    champions: ProcessMeasurement | None = None,
    leakage: LeakageRecord | None = PASSED,
    **changes: Any,
) -> Any:
    base = FLIGHT_DELAY if task == "binary" else AIR_TIME
    use_case = base.model_copy(
        update={"gates": gates, "features": tuple(COLUMNS), "cost": None, "naive_by": ("hour",), **changes}
    )
    frame = rows(make_flights(days=60, a_day=60, task=task))
    model, days = Model(function, task=task), frame["day"].to_numpy()
    cuts = [frame[days < "2013-02-01"], frame[(days >= "2013-02-01") & (days < "2013-02-11")]]
    test = frame[days >= "2013-02-11"]
    beside: dict[str, Any] = {"fresh": None if fresh is None else lambda: fresh}
    if champion is not None:
        beside["champion"] = ChampionScores(3, champion, None, champion.predict(test))  # type: ignore[arg-type]
    if champions is not None:
        beside["champions"] = lambda: champions
    trial = build_context(use_case, model, None, Splits(*cuts, test), **beside)  # type: ignore[arg-type]
    evidence = collect_evidence(trial, overlap=0, champions_overlap=0, refusals=0)
    return judge_gates(use_case, evidence.model_copy(update={"leakage": leakage}))
