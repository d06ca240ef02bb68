"""A simulated model in service: training days in a lake, requests in PostgreSQL, labels a day late."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest import mock
from uuid import uuid4

import numpy as np
import pandas as pd
from scipy.special import expit

from include.data.lake.delta_tables import Lake
from include.data.lake.partition_columns import DAY
from include.data.snapshots import snapshot as snapshots
from include.data.snapshots.target_encoding import TARGET
from include.database.tables import inference_log
from include.declarations import DriftPolicy, Label, UseCase
from include.modeling.evaluation.bootstrap import UnitBootstrap
from include.modeling.evaluation.metrics import compute_metrics
from include.modeling.evaluation.metrics.resampled import metric_intervals
from include.monitoring import champion_check, drift, governor
from include.release import rollout

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt
    from sqlalchemy import Engine

    from include.monitoring.governor import Decision

    Values = npt.NDArray[np.float64]

FIRST = date(2020, 1, 1)
TRAINING_DAYS = 30
TEST_DAYS = 14
ROWS_PER_DAY = 400
# The importance of the features of `chances`.
IMPORTANCE = {"temp": 0.4, "distance": 0.3, "carrier": 0.15, "wind_speed": 0.1, "hour": 0.03, "origin": 0.02}
USE_CASE = UseCase(
    name="planted",
    owner="bench",
    description="Simulated delays.",
    task="binary",
    feature_view="flight_features",
    features=("carrier", "origin", "distance", "hour", "temp", "wind_speed"),
    label=Label(dataset="arrivals", column="arr_delay", above=15),
    metric="log_loss",
    prediction_range=(0, 1),
    drift=DriftPolicy(window_days=1),
)
MORNING = time(6)


def draw(random: np.random.Generator, day: date, count: int = ROWS_PER_DAY) -> pd.DataFrame:
    """Return the rows of a day, independent of each other and of the day."""
    return pd.DataFrame(
        {
            "flight_id": [f"{day}-{number}" for number in range(count)],
            "scheduled_departure": pd.Timestamp(day, tz="UTC") + pd.Timedelta(hours=12),
            "carrier": random.choice(["UA", "AA", "DL"], count, p=[0.5, 0.3, 0.2]),
            "origin": random.choice(["EWR", "JFK", "LGA"], count),
            "distance": random.gamma(3.0, 350.0, count),
            "hour": random.integers(5, 23, count),
            "temp": random.normal(60, 10, count),
            "wind_speed": random.gamma(6.0, 1.7, count),
            DAY: f"{day}",
        }
    )


def chances(rows: pd.DataFrame, *, of_temperature: float = 1.0) -> Values:
    """Return the probability of a delay, (n,), by the effect of ten degrees on the log odds."""
    warmth = (rows["temp"].fillna(60) - 60) / 10
    length = (rows["distance"] - 1_050) / 600
    wind = (rows["wind_speed"] - 10) / 4
    log_odds = of_temperature * warmth + 0.9 * length + 0.7 * (rows["carrier"] == "UA") + 0.4 * wind - 1
    return np.asarray(expit(log_odds), dtype=np.float64)


@dataclass
class Timeline:
    """
    What happens in a simulated time, whose first day has the number 0.

    `damage` changes the rows that the model gets, `population` draws them, and `truth` returns the
    probability of each label; each takes the number of the day. `labels` says whether those of a day land.
    """

    damage: Callable[[pd.DataFrame, int], pd.DataFrame] = lambda rows, _: rows
    population: Callable[[np.random.Generator, date, int], pd.DataFrame] = lambda random, day, _: draw(
        random, day
    )
    truth: Callable[[pd.DataFrame, int], Values] = lambda rows, _: chances(rows)
    labels: Callable[[int], bool] = lambda _: True


@dataclass
class World:
    """The champion, which is calibrated on the training days, and its environment."""

    folder: Path
    database: Engine
    seed: int = 0
    lake: Lake = field(init=False)
    champion: Any = field(init=False)
    promised: dict[str, tuple[float, float]] = field(init=False)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)
        self.lake = Lake(str(self.folder / "trained"))
        days = [FIRST + timedelta(days=number) for number in range(TRAINING_DAYS)]
        rows = pd.concat([draw(self.random, day) for day in days], ignore_index=True)
        self.lake.publish("flight_features", rows, days, metadata={})
        self.lake.publish("arrivals", self._arrivals(rows, chances(rows)), days, metadata={})
        lease = rollout.begin(self.database, USE_CASE.name, 1, owner="bench", actor="bench")
        state = rollout.promote(self.database, lease, reason="the first", evidence={}, needs_traffic=False)
        snapshot = json.loads(snapshots.create(USE_CASE, self.lake, None).to_json())
        certificate: Any = SimpleNamespace(snapshot=snapshot)
        self.champion = champion_check.champion_context(USE_CASE, state, certificate, self.lake)
        test = self.champion.reference.tail(TEST_DAYS * ROWS_PER_DAY)
        predictions = chances(test)
        target = test[TARGET].to_numpy(dtype=np.float64)
        figures = compute_metrics(USE_CASE, predictions, target)
        self.promised = metric_intervals(figures, target, predictions, UnitBootstrap.of_days(test[DAY]))

    def begin(self, name: str) -> None:
        """Begin a time of its own: after the training days, with other labels than before."""
        shutil.copytree(self.folder / "trained", self.folder / name)
        self.lake = Lake(str(self.folder / name))
        self.random = np.random.default_rng([self.seed, *name.encode()])

    def _arrivals(self, rows: pd.DataFrame, probabilities: Values) -> pd.DataFrame:
        is_late = self.random.random(len(rows)) < probabilities
        return rows[["flight_id", DAY]].assign(arr_delay=np.where(is_late, 30.0, 0.0))

    def live(self, timeline: Timeline, day: date, number: int) -> Decision:
        """Serve a day, let its labels land, and return the decision of the next morning."""
        rows = timeline.population(self.random, day, number)
        if timeline.labels(number):
            labels = self._arrivals(rows, timeline.truth(rows, number))
            self.lake.publish("arrivals", labels, [day], metadata={})
        self._serve(timeline.damage(rows, number), day)
        return self.check(datetime.combine(day + timedelta(days=1), MORNING, UTC))

    def _serve(self, rows: pd.DataFrame, day: date) -> None:
        records = json.loads(rows[list(USE_CASE.features)].to_json(orient="records"))
        opening = datetime.combine(day, MORNING, UTC) + timedelta(minutes=1)
        logged = [
            {
                "use_case": USE_CASE.name, "request_id": str(uuid4()), "entity_id": flight, "version": 1,
                "role": "champion", "received_at": opening + timedelta(minutes=2 * position),
                "latency_ms": 4.0, "status": 200, "inputs": [record], "predictions": [prediction],
            }
            for position, (flight, record, prediction) in enumerate(
                zip(rows["flight_id"], records, chances(rows), strict=True)
            )
        ]  # fmt: skip
        with self.database.begin() as connection:
            connection.execute(inference_log.insert(), logged)

    def check(self, moment: datetime) -> Decision:
        """Measure the day before, decide and record, as the tasks `detect_drift` and `decide` do."""
        champion = self.champion
        policy = USE_CASE.retrain
        run = f"monitoring/{moment:%Y-%m-%d}"
        # The page, which takes longer than all the rest, decides nothing.
        with self.database.connect() as connection, mock.patch.object(drift, "draw_page", return_value=""):
            window = champion_check.read_window(champion, connection, self.lake, end=moment)
            shifts = champion_check.check_drift(champion, window, IMPORTANCE)
            quality = champion_check.check_quality(
                champion, window, connection, self.lake, promised=self.promised
            )
            signals = champion_check.collect_signals(
                champion, shifts.outcome, quality, window, connection=connection, lake=self.lake,
                data_faults=shifts.faults,
            )  # fmt: skip
            history = governor.past_checks(connection, USE_CASE.name, now=moment, run=run)
        decision = governor.decide(signals, policy, history, moment)
        figures = {"moment": moment, "drift": {"outcome": shifts.outcome}, "quality": quality}
        return governor.record_check(
            self.database,
            USE_CASE.name,
            decision,
            run=run,
            window=(window.start, window.end),
            figures=figures,
        )
