"""Requests of the demo's callers: real flights, with the features that the lake has."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from include.catalog import catalog
from include.stack.demo.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from include.declarations.relations.feature_selection import FeatureSelection
    from include.stack.demo.console import Step
    from include.stack.demo.runs import Demo
    from include.stack.demo.traffic import TrafficStats

USE_CASE = "flight_delay"
WEEK = [date(2013, 7, day) for day in range(1, 8)]
REQUESTS_PER_SECOND = 120.0


def feature_selection() -> FeatureSelection:
    """Return the features of the use case and their views."""
    declared = catalog()
    return declared.features_of(declared.use_cases[USE_CASE])


def read_flights(demo: Demo, days: Sequence[date]) -> list[dict[str, Any]]:
    """Return the features of the flights of these days with their keys, nulls as None."""
    from include.data.feature_store.feature_rows import read_feature_rows
    from include.data.lake.delta_tables import Lake

    frame = read_feature_rows(feature_selection(), Lake(demo.settings.lake_uri), days)
    rows: list[Any] = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return rows


def select_values(row: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return the values of these columns."""
    return {name: row[name] for name in names}


def create_traffic(demo: Demo, days: Sequence[date] = WEEK, *, rate: float = REQUESTS_PER_SECOND) -> Traffic:
    """Return callers that send the flights of these days, `rate` requests per second."""
    (entity,) = feature_selection().spine.keys
    names = (entity, *catalog().use_cases[USE_CASE].features)
    rows = [select_values(flight, names) for flight in read_flights(demo, days)]
    return Traffic(demo.settings.gateway_uri, USE_CASE, rows, entity=entity, rate=rate)


def describe_traffic(step: Step, stats: TrafficStats) -> None:
    """Add what the callers got during a rollout to the results of a step."""
    shares = ", ".join(f"version {number}: {count:,}" for number, count in sorted(stats.versions.items()))
    step.add_result(f"{stats.sent:,} requests meanwhile, {stats.failed} failed (answered by {shares})")
    step.add_result(f"latency p50 {stats.quantile(0.5):.1f} ms, p99 {stats.quantile(0.99):.1f} ms")
