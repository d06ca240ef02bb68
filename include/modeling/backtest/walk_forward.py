"""
`airworthy backtest flight_delay --first 2013-06-01 --last 2013-06-30`: night after night.

Every training as of a day in that range, as a backfill of the training DAG leaves them: how the model did on
days that followed those it learnt from, and what the gates said. Writes one table and one picture.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from include.declarations import GREATER_IS_BETTER
from include.errors import DataError
from include.modeling.evaluation.evidence import Evidence
from include.modeling.gates import report as gate_report
from include.modeling.pipeline.workspace import EVIDENCE
from include.modeling.registry.tracking import SUPERSEDED_BY, Tracking

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow.entities import Run

    from include.declarations import UseCase

MOST_RUNS = 10_000
NightState = Literal["passed", "refused", "undecided", "not judged", "no run"]


@dataclass(frozen=True, slots=True)
class NightlyResult:
    """
    One training as of a day; `runs` says how many there were of it, and the newest counts.

    `interval` is that of 95 % of the metric on the `test_rows` of the `test_days` days to `last_day`; the
    champion is that of the moment the training ran, with how many of those rows it had learnt from.
    """

    as_of: str
    state: NightState
    runs: int = 0
    run_id: str = ""
    last_day: str = ""
    test_days: int = 0
    train_rows: int = 0
    test_rows: int = 0
    metric: float | None = None
    interval: tuple[float, float] | None = None
    naive: float | None = None
    champion: int | None = None
    champion_metric: float | None = None
    champion_saw: int | None = None
    failed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Backtest:
    """The nights of a range, every day of it, and what they come to."""

    use_case: str
    metric: str
    nights: tuple[NightlyResult, ...]

    @property
    def judged(self) -> list[NightlyResult]:
        """The nights with a metric."""
        return [night for night in self.nights if night.metric is not None]

    @property
    def better_than_naive(self) -> int:
        """On how many nights the model was better than the naive forecast."""
        sign = 1 if self.metric in GREATER_IS_BETTER else -1
        return sum(
            sign * (night.metric or 0) > sign * night.naive
            for night in self.judged
            if night.naive is not None
        )

    @property
    def summary(self) -> str:
        """A few sentences that name what is missing, too."""
        counts: dict[str, int] = {}
        for night in self.nights:
            counts[night.state] = counts.get(night.state, 0) + 1
        states = ", ".join(f"{count} {state}" for state, count in counts.items())
        lines = [f"{len(self.nights)} nights: {states}."]
        values = [night.metric for night in self.judged if night.metric is not None]
        if values:
            mean = sum(values) / len(values)
            lines.append(
                f"{self.metric}: {mean:.4f} in the mean, {min(values):.4f} to {max(values):.4f}; better than "
                f"the naive forecast on {self.better_than_naive} of {len(values)} nights."
            )
        if any(night.test_days > 1 for night in self.judged):
            lines.append("Neighbouring nights share test days: they are not independent of each other.")
        if any(night.champion_saw for night in self.judged):
            lines.append("A champion marked * had learnt from some of the test rows: its metric flatters.")
        return " ".join(lines)


def walk(tracking: Tracking, use_case: UseCase, first: date, last: date) -> Backtest:
    """
    Return the trainings of a use case as of every day from `first` to `last`.

    :raises DataError: if there is none at all
    """
    found: dict[str, list[Run]] = {}
    for run in tracking.runs(use_case.name, "tags.`airworthy.as_of` LIKE '____-%'", newest=MOST_RUNS):
        if SUPERSEDED_BY not in run.data.tags:
            found.setdefault(run.data.tags["airworthy.as_of"], []).append(run)
    days = [f"{first + timedelta(days=n)}" for n in range((last - first).days + 1)]
    if not any(day in found for day in days):
        raise DataError(
            f"{use_case.name} has no training as of {first} to {last} in MLflow. Backfill them first: "
            f"airflow backfill create --dag-id {use_case.name}_training --from-date {first} --to-date {last}"
        )
    nights = (_night(tracking, use_case, day, found.get(day, [])) for day in days)
    return Backtest(use_case.name, use_case.metric, tuple(nights))


def _night(tracking: Tracking, use_case: UseCase, day: str, runs: Sequence[Run]) -> NightlyResult:
    if not runs:
        return NightlyResult(day, "no run")
    run_id, tags = runs[0].info.run_id, runs[0].data.tags
    last_day = tags.get("airworthy.days", "").partition("..")[2]
    with TemporaryDirectory() as folder:
        kept = tracking.file(run_id, EVIDENCE, Path(folder))
        gates = tracking.file(run_id, gate_report.JSON, Path(folder))
        if kept is None:
            return NightlyResult(day, "not judged", len(runs), run_id, last_day)
        evidence = Evidence.model_validate_json(kept.read_bytes())
        said: dict[str, Any] = json.loads(gates.read_bytes()) if gates else {}
    champion, metric = evidence.champion, use_case.metric
    return NightlyResult(
        as_of=day,
        state=said.get("conclusion", "not judged"),
        runs=len(runs),
        run_id=run_id,
        last_day=last_day,
        test_days=evidence.days,
        train_rows=evidence.rows.get("train", 0),
        test_rows=evidence.rows.get("test", 0),
        metric=evidence.metrics["test"].get(metric),
        interval=evidence.intervals.get(metric),
        naive=evidence.baseline.get(metric),
        champion=champion.version if champion else None,
        champion_metric=champion.metrics.get(metric) if champion else None,
        champion_saw=champion.overlap if champion else None,
        failed=tuple(gate["gate"] for gate in said.get("verdicts", ()) if gate["outcome"] == "fail"),
    )
