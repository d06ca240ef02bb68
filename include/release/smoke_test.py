"""Smoke test of a staged version: golden rows as in the evaluation, and a load of the declared rate."""

from __future__ import annotations

import math
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import timedelta

# Relative and absolute: the server may add numbers in another order when it predicts several rows at once.
DEFAULT_TOLERANCE = 1e-9
DEFAULT_REQUESTS = 50
DEFAULT_RATE = 20.0
# The load lasts at least so long, and at most; many requests are sent at a higher rate.
MIN_LOAD_S = 3.0
MAX_LOAD_S = 10.0
# Share of the rate that must be reached.
SUSTAINED_SHARE = 0.8
N_CLIENTS = 4
# Requests whose latency is not judged: a new server loads code and opens its connections in them.
WARM_UP_REQUESTS = 2 * N_CLIENTS
# Share of requests that may be slower than the limit of the 99th percentile.
SLOW_SHARE = 0.01
# Probability that a version whose 99th percentile is just at the limit is refused by chance.
FALSE_ALARM_RATE = 0.01
CLIENT: dict[str, Any] = {
    "timeout": 5.0,
    "limits": httpx.Limits(max_connections=N_CLIENTS),
    "trust_env": False,
}

# The value of a regression or binary classifier, or the probability of each class.
Prediction = tuple[float, ...]
# Latency of a request in ms, and what is wrong with its response.
Timing = tuple[float, str | None]


@dataclass(frozen=True, slots=True)
class SmokeResult:
    """Result of a smoke test; the latencies in `figures` are in ms."""

    passed: bool
    reason: str
    figures: dict[str, float | int | str]


def run_smoke_test(
    address: str,
    golden: Mapping[str, Any],
    *,
    headers: Mapping[str, str] | None = None,
    tolerance: float | None = None,
    requests: int = DEFAULT_REQUESTS,
    rate: float = DEFAULT_RATE,
    maximum_p99: timedelta | None = None,
) -> SmokeResult:
    """
    Compare the predictions that `address` answers with those that the model made in evaluation.

    All golden rows are sent at once, then single rows: a warm-up, whose latency is not judged, and a load of
    `rate` requests per second for 3 s, or longer for `requests`. The version is too slow if it does not reach
    80 % of the rate, or if more requests exceed the limit than chance explains (binomial test): of 60, four.

    Parameters
    ----------
    address, headers
        Where invocations are sent, and the headers of each request.
    golden
        The model's `golden.json`: `dataframe_split`, `predictions`, and optionally `tolerance`.
    tolerance, maximum_p99
        Of a prediction, by default that of `golden`, else 1e-9; and of the latency's 99th percentile.
    """
    rows = golden["dataframe_split"]
    expected = golden["predictions"]
    gap = golden.get("tolerance", DEFAULT_TOLERANCE) if tolerance is None else tolerance
    if not expected:
        return SmokeResult(False, "the certificate has no golden rows to test with", {})
    load = _Load.of(requests, rate)
    with httpx.Client(**CLIENT, headers=headers) as client:
        problem = _compare_rows(client, address, rows, expected, gap)
        if problem:
            return SmokeResult(False, problem, {"rows": len(expected)})

        def request_row(number: int) -> Timing:
            row = number % len(expected)
            single_row = {"columns": rows["columns"], "data": [rows["data"][row]]}
            began = time.perf_counter()
            problem = _compare_rows(client, address, single_row, [expected[row]], gap)
            return 1000 * (time.perf_counter() - began), problem

        timings, sustained = load.run(request_row)
    return _summarise_load(
        timings, n_rows=len(expected), maximum_p99=maximum_p99, rates=(load.rate, sustained)
    )


@dataclass(frozen=True, slots=True)
class _Load:
    """Requests that are sent at a rate per second, each at its own moment."""

    requests: int
    rate: float

    @classmethod
    def of(cls, requests: int, rate: float) -> _Load:
        count = max(requests, 2, round(rate * MIN_LOAD_S))
        return cls(count, max(rate, count / MAX_LOAD_S))

    def run(self, request: Callable[[int], Timing]) -> tuple[list[Timing], float]:
        """Return the timings of a warm-up and of the load, and the requests answered per second."""
        with ThreadPoolExecutor(N_CLIENTS) as pool:
            timings = list(pool.map(request, range(WARM_UP_REQUESTS)))
            started = time.perf_counter()
            timings += pool.map(partial(self._send, started, request), range(self.requests))
            return timings, self.requests / (time.perf_counter() - started)

    def _send(self, started: float, request: Callable[[int], Timing], number: int) -> Timing:
        """Wait for the moment of a request, and send it."""
        time.sleep(max(0.0, started + number / self.rate - time.perf_counter()))
        return request(number)


def _compare_rows(
    client: httpx.Client,
    address: str,
    rows: Mapping[str, Any],
    expected: Sequence[float | list[float]],
    tolerance: float,
) -> str | None:
    """Send `rows` in one request and return what is wrong with the response, or None."""
    try:
        response = client.post(address, json={"dataframe_split": rows})
    except httpx.TransportError as error:
        return f"{address} does not answer: {type(error).__name__} {error}"
    if response.status_code != httpx.codes.OK:
        return f"{address} answered {response.status_code}: {response.text[:300]}"
    try:
        predictions = [to_prediction(value) for value in response.json()["predictions"]]
    except (ValueError, KeyError, TypeError):
        return f"{address} answered no list of numbers under `predictions`: {response.text[:300]}"
    return describe_difference(predictions, [to_prediction(value) for value in expected], tolerance)


def to_prediction(value: Any) -> Prediction:
    """Return a prediction in JSON as numbers."""
    if isinstance(value, list):
        return tuple(float(probability) for probability in value)
    return (float(value),)


def describe_difference(
    predictions: Sequence[Prediction], expected: Sequence[Prediction], tolerance: float
) -> str | None:
    """Return how predictions differ from the expected ones by more than a tolerance, or None."""
    if len(predictions) != len(expected):
        return f"{len(predictions)} predictions for {len(expected)} rows"
    different = [
        row
        for row, (prediction, reference) in enumerate(zip(predictions, expected, strict=True))
        if not _is_close(prediction, reference, tolerance)
    ]
    if not different:
        return None
    row = different[0]
    return (
        f"{len(different)} of {len(expected)} golden rows are predicted differently than in evaluation, "
        f"row {row} as {_format_prediction(predictions[row])} instead of {_format_prediction(expected[row])}"
    )


def _is_close(prediction: Prediction, reference: Prediction, tolerance: float) -> bool:
    return len(prediction) == len(reference) and all(
        math.isclose(value, other, rel_tol=tolerance, abs_tol=tolerance)
        for value, other in zip(prediction, reference, strict=True)
    )


def _format_prediction(prediction: Prediction) -> str:
    return ", ".join(f"{value:.9g}" for value in prediction)


def _summarise_load(
    timings: Sequence[Timing],
    *,
    n_rows: int,
    maximum_p99: timedelta | None,
    rates: tuple[float, float],
) -> SmokeResult:
    """
    Return the result, given latency in ms and problem of each single-row request, the warm-up first, and the
    rate of the load and of the responses per second.
    """
    rate, sustained = rates
    latencies = [latency for latency, _ in timings[WARM_UP_REQUESTS:]]
    percentiles = statistics.quantiles(latencies, n=100, method="inclusive")
    problems = [problem for _, problem in timings if problem]
    figures: dict[str, float | int | str] = {
        "rows": n_rows,
        "requests": len(latencies),
        "failures": len(problems),
        "latency_p50": percentiles[49],
        "latency_p99": percentiles[98],
        "rate": rate,
        "sustained": sustained,
    }
    if problems:
        reason = (
            f"{len(problems)} of {len(timings)} requests under load failed, the first with: {problems[0]}"
        )
        return SmokeResult(False, reason, figures)
    if maximum_p99:
        limit_ms = 1000 * maximum_p99.total_seconds()
        slow = sum(latency > limit_ms for latency in latencies)
        if _is_more_than_chance(slow, len(latencies)):
            reason = (
                f"{slow} of {len(latencies)} requests took longer than {limit_ms:g} ms, which 99% must keep "
                f"(`slo.latency_p99_ms`): p50 {percentiles[49]:.1f} ms, p99 {percentiles[98]:.1f} ms"
            )
            return SmokeResult(False, reason, figures)
    if sustained < SUSTAINED_SHARE * rate:
        reason = (
            f"{sustained:.1f} of {rate:g} requests per second were answered, and {SUSTAINED_SHARE:.0%} must "
            f"be (`slo.rate`): p50 {percentiles[49]:.1f} ms, p99 {percentiles[98]:.1f} ms"
        )
        return SmokeResult(False, reason, figures)
    return SmokeResult(True, f"all {n_rows} golden rows are predicted as in evaluation", figures)


def _is_more_than_chance(slow: int, requests: int) -> bool:
    """Return whether a version at the limit has so many slow requests less often than `FALSE_ALARM_RATE`."""
    from scipy.stats import binom

    return bool(binom.sf(slow - 1, requests, SLOW_SHARE) < FALSE_ALARM_RATE)
