"""What CloudWatch counted for the variants of a SageMaker endpoint, as an observation of a rollout step."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from include.release.analysis.observations import (
    LATENCY_EDGES,
    N_SIZES,
    Observation,
    RequestCounts,
    Responses,
    StepWindow,
    Strata,
)
from include.release.targets.endpoint import variant_name

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMESPACE = "AWS/SageMaker"
# The finest period of SageMaker's metrics.
PERIOD_S = 60
# Sums of each minute.
COUNTS = {"requests": "Invocations", "errors": "Invocation5XXErrors", "refused": "Invocation4XXErrors"}
# CloudWatch knows percentiles, and the analysis needs counts: each percentile stands for a part of a
# minute's requests, by which it is weighted.
PERCENTILES = {
    5.0: 0.1, 15.0: 0.1, 25.0: 0.1, 35.0: 0.1, 45.0: 0.1, 55.0: 0.1, 65.0: 0.1, 75.0: 0.1, 85.0: 0.1,
    92.5: 0.05, 97.0: 0.04, 99.5: 0.01,
}  # fmt: skip
MICROSECONDS = 1_000.0


@dataclass(frozen=True, slots=True)
class VariantMinutes:
    """Requests, errors and refused requests of a variant by minute, and latencies in ms by percentile."""

    counts: Mapping[str, Mapping[datetime, float]] = field(default_factory=dict)
    latencies: Mapping[float, Mapping[datetime, float]] = field(default_factory=dict)

    def row(self, minute: datetime) -> list[float]:
        """Return requests, errors and refused requests of one minute."""
        return [self.counts[name].get(minute, 0.0) for name in COUNTS]

    @property
    def minutes(self) -> list[datetime]:
        """Minutes with requests."""
        return sorted(self.counts["requests"])


def observe_variants(
    client: Any, endpoint: str, champion: int | None, challenger: int, *, window: StepWindow
) -> Observation:
    """
    Return the requests of both variants since the start of a step, and by minute those of its stage.

    Failures and refused requests are counted exactly; latencies are those of the model container.
    """
    new = _read_variant(client, endpoint, challenger, window)
    by_challenger = _to_responses(new, window.since)
    rate = by_challenger.counts.requests / max(window.seconds, 1.0)
    if champion is None:
        return Observation(None, by_challenger, rate=rate, sees_predictions=False)
    old = _read_variant(client, endpoint, champion, window)
    by_champion = _to_responses(old, window.since)
    strata = _to_strata(old, new)
    return Observation(by_champion, by_challenger, strata, rate=rate, sees_predictions=False)


def _read_variant(client: Any, endpoint: str, version: int, window: StepWindow) -> VariantMinutes:
    dimensions = [
        {"Name": "EndpointName", "Value": endpoint},
        {"Name": "VariantName", "Value": variant_name(version)},
    ]
    statistics = [f"p{level:g}" for level in PERCENTILES]
    names: dict[str, str] = {**COUNTS, **dict.fromkeys(statistics, "ModelLatency")}
    queries = [
        {
            "Id": f"q{number}",
            "MetricStat": {
                "Metric": {"Namespace": NAMESPACE, "MetricName": metric, "Dimensions": dimensions},
                "Period": PERIOD_S,
                "Stat": "Sum" if name in COUNTS else name,
            },
        }
        for number, (name, metric) in enumerate(names.items())
    ]
    start = window.origin.replace(second=0, microsecond=0)
    end = window.since + timedelta(seconds=window.seconds + PERIOD_S)
    series: dict[str, dict[datetime, float]] = {f"q{number}": {} for number in range(len(names))}
    pages = client.get_paginator("get_metric_data")
    for page in pages.paginate(MetricDataQueries=queries, StartTime=start, EndTime=end):
        for result in page["MetricDataResults"]:
            series[result["Id"]] |= dict(zip(result["Timestamps"], result["Values"], strict=True))
    by_name = {name: series[f"q{number}"] for number, name in enumerate(names)}
    latencies = {level: by_name[f"p{level:g}"] for level in PERCENTILES}
    return VariantMinutes({name: by_name[name] for name in COUNTS}, latencies)


def _to_responses(variant: VariantMinutes, since: datetime) -> Responses:
    """Return the requests of the minutes that began in the step; before, those of another step count too."""
    minutes = [minute for minute in variant.minutes if minute >= since]
    latencies = np.zeros((N_SIZES, len(LATENCY_EDGES) + 1))
    for level, share in PERCENTILES.items():
        for minute in minutes:
            if minute in variant.latencies[level]:
                milliseconds = variant.latencies[level][minute] / MICROSECONDS
                total, *unanswered = variant.row(minute)
                answered = total - sum(unanswered)
                latencies[0, np.searchsorted(LATENCY_EDGES, milliseconds)] += share * answered
    requests, errors, refused = np.sum([[0.0] * len(COUNTS), *map(variant.row, minutes)], axis=0).astype(int)
    p50 = _percentile(latencies[0], 0.5)
    p99 = _percentile(latencies[0], 0.99)
    counts = RequestCounts(int(requests), int(errors), int(refused), p50=p50, p99=p99)
    return Responses(counts, np.floor(latencies))


def _percentile(histogram: np.ndarray[Any, np.dtype[np.float64]], level: float) -> float | None:
    """Return the upper edge of the class that has a percentile, in ms; None without requests."""
    total = histogram.sum()
    if not total:
        return None
    position = int(np.searchsorted(np.cumsum(histogram), level * total))
    return float(LATENCY_EDGES[min(position, len(LATENCY_EDGES) - 1)])


def _to_strata(old: VariantMinutes, new: VariantMinutes) -> Strata:
    both = sorted(set(old.minutes) & set(new.minutes))
    if not both:
        return Strata()
    return Strata(
        np.asarray([old.row(minute) for minute in both]).T, np.asarray([new.row(minute) for minute in both]).T
    )
