"""What is on record about the days that a model learns from: were their features checked for leakage?"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from include import partitions
from include.data.features.leakage_check import GATE
from include.data.lake import commit_log
from include.database.tables import gate_result

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import Any

    from sqlalchemy import Engine

    from include.data.lake.delta_tables import Lake
    from include.data.snapshots.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class LeakageRecord:
    """
    How many days of a feature view passed, how many nobody checked, and a sentence for each leaking feature.

    `unchecked` names the stretches of days that nobody checked, such as `2013-01-01..2013-01-31`.
    """

    feature_view: str
    passed: int = 0
    unchecked_days: int = 0
    unchecked: tuple[str, ...] = ()
    leaks: dict[str, str] = field(default_factory=dict)


def of_snapshot(engine: Engine, lake: Lake, snapshot: Snapshot) -> LeakageRecord:
    """
    Return what the checks said of the days of a snapshot's features, each as it was published by then.

    The verdict on a day is the last one of the DAG run that published it. Who published it past its DAG has
    left none, and a check that had no row to look at is none either.
    """
    view, version = snapshot.feature_view, snapshot.feature_version
    first, last = (date.fromisoformat(day) for day in snapshot.days)
    days = [
        day
        for day in lake.days(view, version=version)
        if first <= day <= last and str(day) not in snapshot.excluded_days
    ]
    commits = commit_log.list_commits(lake, view)
    makers = {day: commit_log.producing_commit(commits, day, version=version) for day in days}
    verdicts = _verdicts(engine, view, {maker.run for maker in makers.values() if maker and maker.run})
    passed, unchecked = 0, []
    leaks: dict[str, str] = {}
    for day, maker in makers.items():
        verdict = verdicts.get(maker.run if maker else "")
        found = {} if verdict is None else _leaks(verdict["results"])
        if verdict is not None and verdict["passed"]:
            passed += 1
        elif found:
            leaks = found | leaks
        else:
            unchecked.append(day)
    stretches = tuple(partitions.format_key(stretch) for stretch in partitions.contiguous_ranges(unchecked))
    return LeakageRecord(view, passed, len(unchecked), stretches, leaks)


def _verdicts(engine: Engine, view: str, runs: Collection[str]) -> dict[str, Mapping[str, Any]]:
    """Return the last verdict of each of these DAG runs."""
    run = func.regexp_replace(gate_result.c.run, "/[^/]*$", "")  # whichever try it was
    query = (
        select(run.label("run"), gate_result.c.passed, gate_result.c.results)
        .where(gate_result.c.subject == view, run.in_(sorted(runs)))
        .where(gate_result.c.results.contains([{"expectation": GATE}]))
        .order_by(gate_result.c.id)
    )
    with engine.connect() as connection:
        return {row["run"]: dict(row) for row in connection.execute(query).mappings()}


def _leaks(results: Collection[Mapping[str, Any]]) -> dict[str, str]:
    return {result["column"]: result["message"] for result in results if result["column"]}
