"""What callers got of champion and challenger in a rollout step, read from both logs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from sqlalchemy import func, select

from include.database.tables import ledger
from include.release.analysis import queries

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from numpy.typing import NDArray
    from sqlalchemy import Connection

    from include.declarations import UseCase

RolloutStage = Literal["shadow", "canary"]

MAX_PAIRS = 5_000
# Of each version, so many predictions are compared: the first ones of the step.
MAX_PREDICTIONS = 5_000
# Earlier predictions of the champion, whose deciles are compared.
MAX_EARLIER_PREDICTIONS = 1_000
MIN_EARLIER_PREDICTIONS = 20
# Requests of the same time and size are compared with each other.
STRATUM_S = 30.0
# Bodies of at most 1, 8, 64 kB and more.
N_SIZES = 4
# Upper edges of the latency's classes, from 0.1 ms to more than 100 s.
LATENCY_EDGES = 0.1 * 1.05 ** np.arange(284)


@dataclass(frozen=True, slots=True)
class RequestCounts:
    """
    Requests that the weights gave to one version in a time window, and copies of requests.

    `errors` are requests that it did not answer at its first attempt, whoever answered then, or without
    numbers; `refused` those that it answered with a status 4xx. `p50` and `p99` are latency percentiles in ms
    of the answered ones. `abandoned` requests, whose callers left before, are not among `requests`.
    """

    requests: int = 0
    errors: int = 0
    refused: int = 0
    abandoned: int = 0
    p50: float | None = None
    p99: float | None = None

    @property
    def answered(self) -> int:
        """Requests with an answer that can be used."""
        return self.requests - self.errors - self.refused


def _no_latencies() -> NDArray[np.float64]:
    return np.zeros((N_SIZES, len(LATENCY_EDGES) + 1))


@dataclass(frozen=True, slots=True)
class Responses:
    """
    What one version answered in a time window.

    `latencies` are histograms of the requests of each size (N_SIZES, K + 1); an abandoned request has the
    time that its caller waited. Of the answers, the inference log has `recorded`. `predictions` are the first
    ones, one per request. Of `repeat_trials` pairs of successive requests with different inputs, `repeats`
    have the same prediction.
    """

    counts: RequestCounts = RequestCounts()
    latencies: NDArray[np.float64] = field(default_factory=_no_latencies)
    recorded: int = 0
    predictions: tuple[float, ...] = ()
    repeats: int = 0
    repeat_trials: int = 0


@dataclass(frozen=True, slots=True)
class Strata:
    """Requests, errors and refused requests of each stratum, (n,) each, for the champion and challenger."""

    champion: NDArray[np.float64] = field(default_factory=lambda: np.zeros((3, 0)))
    challenger: NDArray[np.float64] = field(default_factory=lambda: np.zeros((3, 0)))


@dataclass(frozen=True, slots=True)
class Losses:
    """Losses from 0 to 1 of predictions whose label has landed, in pairs (n,) each."""

    champion: tuple[float, ...]
    challenger: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class StepWindow:
    """
    What is observed: requests from `since` on.

    `by_gateway` says whether requests of callers count for the challenger, and `copies` which copies do, by
    their role in the inference log. `origin` is the start of the stage, `seconds` the time since `since`, and
    `share` (0 to 1) the share of the requests that the challenger gets.
    """

    since: datetime
    origin: datetime
    by_gateway: bool
    copies: tuple[str, ...]
    seconds: float
    share: float


@dataclass(frozen=True, slots=True)
class Observation:
    """
    Requests of champion and challenger in one time window.

    `champion` is None for the first model of a use case. `strata` are those of the whole stage.
    `shifts` are the absolute differences of the predictions for the same requests, as shares of the
    width of the use case's `prediction_range`; `shape_mismatches` counts the requests with predictions of
    different length, type or number of classes. `thresholds` are values of predictions at which the
    distributions are compared. `rate` is the number of requests per second that the challenger can expect.
    `losses` are those of the whole rollout. Since the start of the step the access log is complete for
    `logged_s` seconds; it is behind by `behind_s`. Where `sees_predictions` is False, none is expected.
    """

    champion: Responses | None
    challenger: Responses
    strata: Strata = Strata()
    shifts: tuple[float, ...] = ()
    shape_mismatches: int = 0
    thresholds: tuple[float, ...] = ()
    rate: float = 0.0
    logged_s: float = math.inf
    behind_s: float = 0.0
    losses: Losses | None = None
    sees_predictions: bool = True


def observe(
    connection: Connection, use_case: UseCase, champion: int | None, challenger: int, *, window: StepWindow
) -> Observation:
    """
    Read what both versions did in a window: outcomes and latencies from the gateway's access log, predictions
    from the inference log, joined by the gateway's id of the request.

    If the champion has fewer than `fewest_requests` in the window (at 75 or 100 % for the challenger), its
    requests since the start of the rollout, or since the oldest that was replayed, are read instead. Pairs
    are always read since the start of the rollout. A request that failed at the challenger and was answered
    by the champion is the challenger's.

    Parameters
    ----------
    champion
        Version of the champion, or None for the first model of the use case.
    challenger
        Version that is rolled out.
    """
    challenger_scope = {
        "use_case": use_case.name,
        "version": challenger,
        "by_gateway": window.by_gateway,
        "copies": list(window.copies),
    }
    logged_until = connection.execute(queries.READ_WATERMARK).scalar()
    logged_s = (logged_until - window.since).total_seconds() if logged_until else -math.inf
    behind_s = window.seconds - logged_s
    by_challenger = _read_responses(connection, challenger_scope, window.since)
    if champion is None:
        rate = by_challenger.counts.requests / max(window.seconds, 1.0)
        return Observation(None, by_challenger, rate=rate, logged_s=logged_s, behind_s=behind_s)
    began = min(rollout_start(connection, use_case.name, challenger) or window.since, window.since)
    scope = challenger_scope | {"version": champion, "by_gateway": True, "copies": []}
    by_champion = _read_responses(connection, scope, window.since)
    rate = _expected_rate(by_champion.counts, by_challenger.counts, window)
    if by_champion.counts.requests < use_case.rollout.fewest_requests:
        replayed = connection.scalar(queries.READ_REPLAYED_SINCE, challenger_scope | {"since": window.since})
        by_champion = _read_responses(connection, scope, min(began, replayed or began))
    strata = _read_strata(connection, scope, challenger_scope, window.origin, logged_until)
    shifts, mismatches = _read_pairs(connection, use_case, (champion, challenger), began)
    thresholds = _read_thresholds(connection, scope, began, use_case.prediction_range)
    return Observation(
        by_champion, by_challenger, strata, shifts, mismatches, thresholds, rate, logged_s, behind_s
    )


def rollout_start(connection: Connection, use_case: str, version: int) -> datetime | None:
    """Return when the last rollout of a version began; None if it never did."""
    staged = select(func.max(ledger.c.at)).where(
        ledger.c.use_case == use_case, ledger.c.version == version, ledger.c.event == "staged"
    )
    moment: datetime | None = connection.scalar(staged)
    return moment


def canary_start(connection: Connection, use_case: str, version: int) -> datetime | None:
    """Return when the challenger of a rollout first got traffic; None if it has not."""
    began = rollout_start(connection, use_case, version)
    if began is None:
        return None
    shifted = select(func.min(ledger.c.at)).where(
        ledger.c.use_case == use_case,
        ledger.c.version == version,
        ledger.c.event == "shifted",
        ledger.c.at >= began,
    )
    moment: datetime | None = connection.scalar(shifted)
    return moment


def _expected_rate(champion: RequestCounts, challenger: RequestCounts, window: StepWindow) -> float:
    requests = champion.requests
    if window.by_gateway:
        requests += challenger.requests
    return window.share * requests / max(window.seconds, 1.0)


def _read_responses(connection: Connection, scope: dict[str, Any], since: datetime) -> Responses:
    parameters = scope | {"since": since}
    counts = RequestCounts(**connection.execute(queries.COUNT_REQUESTS, parameters).mappings().one())
    responses = connection.execute(queries.COUNT_ANSWERS, parameters).one()
    # To the gateway an answer without numbers is one.
    malformed = min(responses.malformed, counts.answered)
    counts = replace(counts, errors=counts.errors + malformed)
    latencies = _no_latencies()
    classes = parameters | {"n_edges": len(LATENCY_EDGES)}
    for row in connection.execute(queries.COUNT_LATENCIES, classes):
        latencies[row.size, row.class_number] += row.requests
    sample = connection.execute(
        queries.READ_PREDICTIONS, parameters | {"max_predictions": MAX_PREDICTIONS}
    ).all()
    values = [(as_number(row.value), row.inputs) for row in sample]
    numbers = [(value, inputs) for value, inputs in values if value is not None]
    repeats, trials = count_repeats(numbers)
    predictions = tuple(value for value, _ in numbers)
    return Responses(counts, latencies, responses.recorded, predictions, repeats, trials)


def as_number(prediction: Any) -> float | None:
    """Return a prediction as a number: of class probabilities, the class with the largest one."""
    if isinstance(prediction, list):
        numbers = [as_number(value) for value in prediction]
        if not numbers or any(value is None for value in numbers):
            return None
        return float(np.argmax(np.asarray(numbers, dtype=float)))
    if isinstance(prediction, bool | int | float):
        return float(prediction)
    return None


def count_repeats(sample: Sequence[tuple[float, str]]) -> tuple[int, int]:
    """
    Return how many pairs of successive requests with different inputs have the same prediction.

    Each request is in one pair only, so that the pairs are independent of each other.

    Parameters
    ----------
    sample
        Prediction and a digest of the inputs of each request.

    Returns
    -------
    tuple
        Pairs with the same prediction, and all pairs.
    """
    repeats = 0
    trials = 0
    for (value, inputs), (other, other_inputs) in zip(sample[::2], sample[1::2], strict=False):
        if inputs != other_inputs:
            trials += 1
            repeats += value == other
    return repeats, trials


def _read_strata(
    connection: Connection,
    champion: dict[str, Any],
    challenger: dict[str, Any],
    origin: datetime,
    logged_until: datetime | None,
) -> Strata:
    """Return the complete strata since `origin` in which both versions have requests."""
    window = {"origin": origin, "logged_until": logged_until or origin, "stratum_s": STRATUM_S}
    old = _count_strata(connection, champion | window)
    new = _count_strata(connection, challenger | window)
    both = sorted(old.keys() & new.keys())
    if not both:
        return Strata()
    return Strata(
        np.asarray([old[stratum] for stratum in both], dtype=float).T,
        np.asarray([new[stratum] for stratum in both], dtype=float).T,
    )


def _count_strata(
    connection: Connection, parameters: dict[str, Any]
) -> dict[tuple[int, int], tuple[int, int, int]]:
    rows = connection.execute(queries.COUNT_STRATA, parameters)
    return {(row.stratum, row.size): (row.requests, row.errors, row.refused) for row in rows}


def _read_pairs(
    connection: Connection, use_case: UseCase, versions: tuple[int, int], since: datetime
) -> tuple[tuple[float, ...], int]:
    champion, challenger = versions
    parameters = {
        "use_case": use_case.name,
        "champion": champion,
        "challenger": challenger,
        "since": since,
        "max_pairs": MAX_PAIRS,
    }
    pairs = connection.execute(queries.COMPARE_PAIRS, parameters).all()
    low, high = use_case.prediction_range
    shifts = tuple(
        min(pair.shift / (high - low), 1.0) for pair in pairs if pair.comparable and pair.shift is not None
    )
    return shifts, sum(not pair.comparable for pair in pairs)


def _read_thresholds(
    connection: Connection, scope: dict[str, Any], before: datetime, prediction_range: tuple[float, float]
) -> tuple[float, ...]:
    """Return the deciles of the champion's predictions before the rollout, else nine values of the range."""
    parameters = scope | {"before": before, "max_predictions": MAX_EARLIER_PREDICTIONS}
    rows = connection.execute(queries.READ_EARLIER_PREDICTIONS, parameters).scalars()
    values = [value for value in map(as_number, rows) if value is not None]
    levels = np.arange(1, 10) / 10
    if len(values) < MIN_EARLIER_PREDICTIONS:
        low, high = prediction_range
        return tuple((low + levels * (high - low)).tolist())
    return tuple(np.unique(np.quantile(values, levels, method="lower")).tolist())
