"""Recorded leakage checks of the days that a model is trained on."""

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
    Recorded leakage checks: number of days that passed, days without a check, and a message per leaking
    feature.

    `unchecked` names the ranges of days without a check, such as `2013-01-01..2013-01-31`. With several
    views, `feature_view` names all, and leaking features are named `view.column`. Of an `undated`
    view nothing is checked, since nothing in it can be known too late.
    """

    feature_view: str
    passed: int = 0
    unchecked_days: int = 0
    unchecked: tuple[str, ...] = ()
    leaks: dict[str, str] = field(default_factory=dict)
    undated: bool = False


def of_snapshot(engine: Engine, lake: Lake, snapshot: Snapshot, *, is_dated: bool = True) -> LeakageRecord:
    """
    Return the recorded leakage checks of the days of a snapshot's features, as published at its version.

    The result for a day is the last one of the DAG run that published it. A day has no result if it was
    published without its DAG, or if the check had no row. Rows that are not dated have no check.
    """
    if not is_dated:
        return LeakageRecord(snapshot.feature_view, undated=True)
    versions = {snapshot.feature_view: snapshot.feature_version} | snapshot.joined_versions
    records = [_of_view(engine, lake, snapshot, view, version) for view, version in versions.items()]
    if len(records) == 1:
        return records[0]
    leaks: dict[str, str] = {}
    unchecked: list[str] = []
    for record in records:
        leaks |= {f"{record.feature_view}.{name}": message for name, message in record.leaks.items()}
        unchecked += [f"{record.feature_view} {days}" for days in record.unchecked]
    return LeakageRecord(
        feature_view=" and ".join(versions),
        passed=sum(record.passed for record in records),
        unchecked_days=sum(record.unchecked_days for record in records),
        unchecked=tuple(unchecked),
        leaks=leaks,
    )


def _of_view(engine: Engine, lake: Lake, snapshot: Snapshot, view: str, version: int) -> LeakageRecord:
    first, last = (date.fromisoformat(day) for day in snapshot.days)
    days = [
        day
        for day in lake.days(view, version=version)
        if first <= day <= last and str(day) not in snapshot.excluded_days
    ]
    commits = commit_log.list_commits(lake, view)
    producers = {day: commit_log.producing_commit(commits, day, version=version) for day in days}
    runs = {commit.run for commit in producers.values() if commit and commit.run}
    results = _last_results(engine, view, runs)
    n_passed = 0
    unchecked = []
    leaks: dict[str, str] = {}
    for day, commit in producers.items():
        result = results.get(commit.run if commit else "")
        day_leaks = {} if result is None else _leaks(result["results"])
        if result is not None and result["passed"]:
            n_passed += 1
        elif day_leaks:
            leaks = day_leaks | leaks
        else:
            unchecked.append(day)
    ranges = tuple(partitions.format_key(days) for days in partitions.contiguous_ranges(unchecked))
    return LeakageRecord(view, n_passed, len(unchecked), ranges, leaks)


def _last_results(engine: Engine, view: str, runs: Collection[str]) -> dict[str, Mapping[str, Any]]:
    """Return the last result of each of these DAG runs, by run."""
    # The column holds run and try; the try is cut off.
    run = func.regexp_replace(gate_result.c.run, "/[^/]*$", "")
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
