"""Walk-forward backtest: results of the trainings as of each day of a range, as a backfill leaves them."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Literal

from include.declarations import is_greater_better
from include.errors import DataError
from include.modeling.evaluation.evidence import Evidence
from include.modeling.gates import report as gate_report
from include.modeling.pipeline.workspace import EVIDENCE
from include.modeling.registry.run_keys import EXPERIMENT, SUPERSEDED_BY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow.entities import Run

    from include.declarations import UseCase
    from include.modeling.registry.tracking import Tracking

MAX_RUNS = 10_000
NightState = Literal["passed", "refused", "undecided", "not judged", "no run"]


@dataclass(frozen=True, slots=True)
class NightlyResult:
    """
    Result of the newest training as of one day.

    Parameters
    ----------
    as_of
        Day of the training, as an ISO date.
    state
        Conclusion of the gates; `not judged` without gates, `no run` without a training.
    runs
        Number of trainings as of this day.
    run_id
        MLflow run of the newest training.
    last_day
        Last of the test days.
    test_days, train_rows, test_rows
        Number of test days, and of rows.
    metric, interval
        Metric on the test rows, and its 95 % interval.
    baseline
        Metric of the baseline on the test rows.
    champion, champion_metric, champion_overlap
        Version of the champion at the time of the training, its metric on the test rows, and how many of
        these rows it was trained on.
    failed
        Names of the failed gates.
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
    baseline: float | None = None
    champion: int | None = None
    champion_metric: float | None = None
    champion_overlap: int | None = None
    failed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Backtest:
    """Results of every day of a range."""

    use_case: str
    metric: str
    nights: tuple[NightlyResult, ...]

    @property
    def judged(self) -> list[NightlyResult]:
        """Nights with a metric."""
        return [night for night in self.nights if night.metric is not None]

    @property
    def better_than_baseline(self) -> int:
        """Number of nights on which the model was better than the baseline."""
        sign = 1 if is_greater_better(self.metric) else -1
        return sum(
            sign * (night.metric or 0) > sign * night.baseline
            for night in self.judged
            if night.baseline is not None
        )

    @property
    def summary(self) -> str:
        """Summary in a few sentences, which also name what is missing."""
        counts = Counter(night.state for night in self.nights)
        states = ", ".join(f"{count} {state}" for state, count in counts.items())
        sentences = [f"{len(self.nights)} nights: {states}."]
        values = [night.metric for night in self.judged if night.metric is not None]
        if values:
            mean = sum(values) / len(values)
            sentences.append(
                f"{self.metric}: mean {mean:.4f}, from {min(values):.4f} to {max(values):.4f}; better than "
                f"the baseline on {self.better_than_baseline} of {len(values)} nights."
            )
        if any(night.test_days > 1 for night in self.judged):
            sentences.append("Neighbouring nights share test days, so they are not independent.")
        if any(night.champion_overlap for night in self.judged):
            sentences.append(
                "A champion marked with * was trained on some of the test rows: its metric is too good."
            )
        return " ".join(sentences)


def run_backtest(tracking: Tracking, use_case: UseCase, first: date, last: date) -> Backtest:
    """
    Return the results of the trainings as of every day from `first` to `last`; experiments are left out.

    Raises
    ------
    DataError
        If there is no training as of any of the days.
    """
    runs_by_day: dict[str, list[Run]] = {}
    query = "tags.`airworthy.as_of` LIKE '____-%'"
    for run in tracking.search_runs(use_case.name, query, newest=MAX_RUNS):
        if SUPERSEDED_BY not in run.data.tags and EXPERIMENT not in run.data.tags:
            runs_by_day.setdefault(run.data.tags["airworthy.as_of"], []).append(run)
    n_days = (last - first).days + 1
    days = [f"{first + timedelta(days=offset)}" for offset in range(n_days)]
    if not any(day in runs_by_day for day in days):
        raise DataError(
            f"{use_case.name} has no training as of {first} to {last} in MLflow. Backfill them first: "
            f"airflow backfill create --dag-id {use_case.name}_training --from-date {first} --to-date {last}"
        )
    nights = [_nightly_result(tracking, use_case, day, runs_by_day.get(day, [])) for day in days]
    return Backtest(use_case.name, use_case.metric, tuple(nights))


def _nightly_result(tracking: Tracking, use_case: UseCase, day: str, runs: Sequence[Run]) -> NightlyResult:
    """Return the result of the first of `runs`, which are sorted by time, newest first."""
    if not runs:
        return NightlyResult(day, "no run")
    run_id = runs[0].info.run_id
    last_day = runs[0].data.tags.get("airworthy.days", "").partition("..")[2]
    evidence_file = tracking.read_file(run_id, EVIDENCE)
    if evidence_file is None:
        return NightlyResult(day, "not judged", len(runs), run_id, last_day)
    evidence = Evidence.model_validate_json(evidence_file)
    gates_file = tracking.read_file(run_id, gate_report.JSON)
    gates: dict[str, Any] = json.loads(gates_file) if gates_file else {}
    champion = evidence.champion
    metric = use_case.metric
    return NightlyResult(
        as_of=day,
        state=gates.get("conclusion", "not judged"),
        runs=len(runs),
        run_id=run_id,
        last_day=last_day,
        test_days=evidence.units if evidence.unit == "days" else 0,
        train_rows=evidence.rows.get("train", 0),
        test_rows=evidence.rows.get("test", 0),
        metric=evidence.metrics["test"].get(metric),
        interval=evidence.intervals.get(metric),
        baseline=evidence.baseline.get(metric),
        champion=champion.version if champion else None,
        champion_metric=champion.metrics.get(metric) if champion else None,
        champion_overlap=champion.overlap if champion else None,
        failed=tuple(
            verdict["gate"] for verdict in gates.get("verdicts", ()) if verdict["outcome"] == "fail"
        ),
    )
