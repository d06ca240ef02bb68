"""Ask a staged version its golden rows before anybody depends on it."""

from __future__ import annotations

import math
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta

TOLERANCE = 1e-9  # of the larger value, and never less than this: batches may add numbers in another order
REQUESTS = 50
CLIENTS = 4
Numbers = tuple[float, ...]
TIMEOUT = 5.0  # seconds


@dataclass(frozen=True, slots=True)
class SmokeResult:
    """Whether the version may see traffic; latencies in `figures` are in ms."""

    passed: bool
    reason: str
    figures: dict[str, float | int | str]


def run_smoke_test(
    base_url: str,
    use_case: str,
    golden: Mapping[str, Any],
    *,
    tolerance: float | None = None,
    requests: int = REQUESTS,
    maximum_p99: timedelta | None = None,
) -> SmokeResult:
    """
    Compare what the server at `base_url` answers with what the model answered in evaluation.

    `golden` is the model's `golden.json`: `dataframe_split` with columns and data, `predictions`, and the
    `tolerance` where it is wider than usual. The rows are sent at once, and then one by one in `requests`
    requests from four clients.
    """
    rows, expected = golden["dataframe_split"], golden["predictions"]
    tolerance = golden.get("tolerance", TOLERANCE) if tolerance is None else tolerance
    if not expected:
        return SmokeResult(False, "there are no golden rows to ask for", {})
    address = f"{base_url.rstrip('/')}/models/{use_case}/invocations"
    limits = httpx.Limits(max_connections=CLIENTS)
    with httpx.Client(timeout=TIMEOUT, limits=limits, trust_env=False) as client:
        found = _ask(client, address, rows)
        if isinstance(found, str):
            return SmokeResult(False, found, {})
        wrong = _difference(found, expected, tolerance)
        if wrong:
            return SmokeResult(False, wrong, {"rows": len(expected)})

        def single(number: int) -> tuple[float, str | None]:
            row = number % len(expected)
            began = time.perf_counter()
            answer = _ask(client, address, {"columns": rows["columns"], "data": [rows["data"][row]]})
            seconds = time.perf_counter() - began
            problem = answer if isinstance(answer, str) else _difference(answer, [expected[row]], tolerance)
            return 1000 * seconds, problem

        with ThreadPoolExecutor(CLIENTS) as pool:
            answers = list(pool.map(single, range(max(requests, 2))))
    return _result(answers, rows=len(expected), maximum_p99=maximum_p99)


def _ask(client: httpx.Client, address: str, rows: Mapping[str, Any]) -> list[Numbers] | str:
    try:
        response = client.post(address, json={"dataframe_split": rows})
    except httpx.TransportError as error:
        return f"{address} does not answer: {type(error).__name__} {error}"
    if response.status_code != httpx.codes.OK:
        return f"{address} answered {response.status_code}: {response.text[:300]}"
    try:
        return [_numbers(value) for value in response.json()["predictions"]]
    except (ValueError, KeyError, TypeError):
        return f"{address} answered no list of numbers under `predictions`: {response.text[:300]}"


def _numbers(value: Any) -> Numbers:
    """Return a prediction as numbers: one, or one for each class."""
    return tuple(float(each) for each in value) if isinstance(value, list) else (float(value),)


def _difference(found: Sequence[Numbers], expected: Sequence[Any], tolerance: float) -> str | None:
    if len(found) != len(expected):
        return f"{len(found)} predictions for {len(expected)} rows"
    pairs = [(one, _numbers(other)) for one, other in zip(found, expected, strict=True)]
    wrong = [row for row, pair in enumerate(pairs) if not _same(*pair, tolerance)]
    if not wrong:
        return None
    one, other = (", ".join(f"{number:.9g}" for number in each) for each in pairs[wrong[0]])
    return (
        f"{len(wrong)} of {len(expected)} golden rows are answered differently than in evaluation, "
        f"row {wrong[0]} with {one} instead of {other}"
    )


def _same(one: Numbers, other: Numbers, tolerance: float) -> bool:
    return len(one) == len(other) and all(
        math.isclose(*pair, rel_tol=tolerance, abs_tol=tolerance) for pair in zip(one, other, strict=True)
    )


def _result(
    answers: Sequence[tuple[float, str | None]], *, rows: int, maximum_p99: timedelta | None
) -> SmokeResult:
    centiles = statistics.quantiles((latency for latency, _ in answers), n=100, method="inclusive")
    problems = [problem for _, problem in answers if problem]
    figures: dict[str, float | int | str] = {
        "rows": rows,
        "requests": len(answers),
        "failures": len(problems),
        "latency_p50": centiles[49],
        "latency_p99": centiles[98],
    }
    if problems:
        reason = (
            f"under load {len(problems)} of {len(answers)} requests failed, the first with: {problems[0]}"
        )
        return SmokeResult(False, reason, figures)
    if maximum_p99 and centiles[98] > 1000 * maximum_p99.total_seconds():
        limit = 1000 * maximum_p99.total_seconds()
        return SmokeResult(False, f"latency p99 is {centiles[98]:.1f} ms, {limit:g} ms are allowed", figures)
    return SmokeResult(True, f"all {rows} golden rows answered as in evaluation", figures)
