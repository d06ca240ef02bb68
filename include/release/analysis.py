"""Compare a challenger with the champion by error rate, latency and predictions for the same requests."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import func, select, text

from include.database.tables import ledger

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from include.declarations import Rollout, UseCase

RolloutStage = Literal["shadow", "canary"]
AnalysisOutcome = Literal["promote", "roll_back", "inconclusive"]

# A difference below this is not noticed by callers and never stops a rollout.
LATENCY_FLOOR_MS = 10.0
# With fewer requests the 99th percentile is one or two requests: a server start or a pause.
MIN_TAIL_REQUESTS = 200
MAX_PAIRS = 5_000

_COUNT_REQUESTS = text("""
SELECT count(*) AS requests,
       count(*) FILTER (WHERE status NOT BETWEEN 200 AND 299 AND status NOT BETWEEN 400 AND 499) AS errors,
       count(*) FILTER (WHERE status BETWEEN 400 AND 499) AS refused,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms) FILTER (WHERE answered) AS p50,
       percentile_cont(0.99) WITHIN GROUP (ORDER BY latency_ms) FILTER (WHERE answered) AS p99
FROM (SELECT status, latency_ms, status BETWEEN 200 AND 299 AS answered FROM inference_log
      WHERE use_case = :use_case AND version = :version AND role = :role AND received_at >= :since) AS request
""")

# Each request counts once, however many rows it has. Predictions are compared if both lists have the same
# length, types and number of classes; otherwise the request counts as a shape mismatch. The shift of a
# multiclass prediction is half of the sum of the absolute differences: the probability mass that moved.
_COMPARE_PAIRS = text("""
WITH pair AS (
  SELECT by_champion.predictions AS old, by_shadow.predictions AS new
  FROM inference_log AS by_shadow
  JOIN inference_log AS by_champion USING (use_case, request_id)
  WHERE use_case = :use_case AND by_shadow.version = :challenger AND by_shadow.role = 'shadow'
    AND by_champion.version = :champion AND by_champion.role = 'champion' AND by_shadow.received_at >= :since
    AND by_shadow.status BETWEEN 200 AND 299 AND by_champion.status BETWEEN 200 AND 299
    AND jsonb_typeof(by_shadow.predictions) = 'array' AND jsonb_typeof(by_champion.predictions) = 'array'
  ORDER BY by_shadow.received_at DESC LIMIT :max_pairs
)
SELECT count(*) FILTER (WHERE comparable) AS pairs,
       count(*) FILTER (WHERE NOT comparable) AS shape_mismatches,
       avg(shift) FILTER (WHERE comparable) AS shift
FROM pair CROSS JOIN LATERAL (
  SELECT jsonb_array_length(old) = jsonb_array_length(new)
         AND coalesce(bool_and(jsonb_typeof(a) = jsonb_typeof(b) AND CASE jsonb_typeof(a)
           WHEN 'array' THEN jsonb_typeof(b) = 'array' AND jsonb_array_length(a) = jsonb_array_length(b)
           ELSE true END), true) AS comparable
  FROM ROWS FROM (jsonb_array_elements(old), jsonb_array_elements(new)) AS predictions_of_both(a, b)
) AS shape CROSS JOIN LATERAL (
  SELECT avg(CASE WHEN NOT comparable THEN NULL WHEN jsonb_typeof(a) = 'array' THEN (
    SELECT sum(abs(p::float8 - q::float8)) / 2
    FROM ROWS FROM (jsonb_array_elements_text(a), jsonb_array_elements_text(b)) AS classes(p, q)
  ) WHEN jsonb_typeof(a) = 'number' THEN abs(a::float8 - b::float8) END) AS shift
  FROM ROWS FROM (jsonb_array_elements(old), jsonb_array_elements(new)) AS predictions_of_both(a, b)
) AS difference
""")


@dataclass(frozen=True, slots=True)
class RequestCounts:
    """
    Requests of one version in a time window.

    `errors` are requests with a status outside 2xx and 4xx, `refused` those with a status 4xx.
    `p50` and `p99` are latency percentiles in ms of the requests with a status 2xx.
    """

    requests: int = 0
    errors: int = 0
    refused: int = 0
    p50: float | None = None
    p99: float | None = None

    def rate(self, count: int, *, min_requests: int = 1) -> float:
        """Return `count` as a share of the requests, or of `min_requests` if there were fewer."""
        return count / max(self.requests, min_requests)


@dataclass(frozen=True, slots=True)
class Observation:
    """
    Requests of champion and challenger in one time window.

    `prediction_shift` is the mean absolute difference of the predictions for the same `pairs` requests, as a
    share of the width of the use case's `prediction_range`. `shape_mismatches` counts the requests with
    predictions of different length, type or number of classes.
    """

    champion: RequestCounts | None
    challenger: RequestCounts
    shadow: RequestCounts
    pairs: int = 0
    shape_mismatches: int = 0
    prediction_shift: float | None = None


@dataclass(frozen=True, slots=True)
class Analysis:
    """Outcome of an analysis, the reason in one sentence, and the figures behind it."""

    outcome: AnalysisOutcome
    reason: str
    figures: dict[str, Any]


def observe(
    connection: Connection, use_case: UseCase, champion: int | None, challenger: int, *, since: datetime
) -> Observation:
    """
    Read from the inference log what both versions did from `since` on.

    If the champion has fewer than `minimum_requests` in the window (at 75 or 100 % for the challenger), its
    requests since the start of the rollout are read instead. Pairs are always read since the start of the
    rollout. A request that failed at the challenger and was answered by the champion counts for both.

    Parameters
    ----------
    champion
        Version of the champion, or None for the first model of the use case.
    challenger
        Version that is rolled out.
    """
    by_challenger = _count_requests(connection, use_case, challenger, "challenger", since)
    by_shadow = _count_requests(connection, use_case, challenger, "shadow", since)
    if champion is None:
        return Observation(None, by_challenger, by_shadow)
    began = _rollout_start(connection, use_case.name, challenger, since)
    by_champion = _count_requests(connection, use_case, champion, "champion", since)
    if by_champion.requests < use_case.rollout.minimum_requests:
        by_champion = _count_requests(connection, use_case, champion, "champion", began)
    parameters = {
        "use_case": use_case.name,
        "champion": champion,
        "challenger": challenger,
        "since": began,
        "max_pairs": MAX_PAIRS,
    }
    row = connection.execute(_COMPARE_PAIRS, parameters).mappings().one()
    low, high = use_case.prediction_range
    shift = None if row["shift"] is None else row["shift"] / (high - low)
    return Observation(by_champion, by_challenger, by_shadow, row["pairs"], row["shape_mismatches"], shift)


def _count_requests(
    connection: Connection, use_case: UseCase, version: int, role: str, since: datetime
) -> RequestCounts:
    parameters = {"use_case": use_case.name, "version": version, "role": role, "since": since}
    return RequestCounts(**connection.execute(_COUNT_REQUESTS, parameters).mappings().one())


def _rollout_start(connection: Connection, use_case: str, version: int, since: datetime) -> datetime:
    staged = select(func.max(ledger.c.at)).where(
        ledger.c.use_case == use_case, ledger.c.version == version, ledger.c.event == "staged"
    )
    return min(connection.scalar(staged) or since, since)


def analyse(observation: Observation, rollout: Rollout, *, stage: RolloutStage) -> Analysis:
    """
    Return `promote`, `roll_back`, or `inconclusive` if there was too little traffic to decide.

    Errors that exceed the limit even if all requests up to `minimum_requests` succeed roll back at once.
    """
    candidate = observation.shadow if stage == "shadow" else observation.challenger
    figures = asdict(observation) | {"stage": stage}
    checks = (
        _check_errors(observation.champion, candidate, rollout),
        _check_prediction_shift(observation, rollout),
        _check_latency(observation.champion, candidate, rollout),
    )
    problems = [problem for problem in checks if problem]
    if problems:
        return Analysis("roll_back", "; ".join(problems), figures)
    missing = _find_missing_data(observation, candidate, rollout, stage)
    if missing:
        return Analysis("inconclusive", missing, figures)
    return Analysis("promote", f"{candidate.requests} requests, all limits are kept", figures)


def _check_errors(champion: RequestCounts | None, candidate: RequestCounts, rollout: Rollout) -> str | None:
    limit = rollout.maximum_error_rate
    error_rate = candidate.rate(candidate.errors, min_requests=rollout.minimum_requests)
    if error_rate > limit:
        return f"{candidate.errors} of {candidate.requests} requests failed, {limit:.2%} are allowed"
    # A mistake of the caller is refused by both versions. What only the challenger refuses is its own fault.
    refused = candidate.rate(candidate.refused, min_requests=rollout.minimum_requests)
    refused_by_champion = champion.rate(champion.refused) if champion else 0.0
    if refused - refused_by_champion > limit:
        return f"{refused:.2%} of the requests were refused, {refused_by_champion:.2%} by the champion"
    return None


def _check_latency(champion: RequestCounts | None, candidate: RequestCounts, rollout: Rollout) -> str | None:
    if champion is None:
        return None
    fewest = min(candidate.requests, champion.requests)
    if fewest < rollout.minimum_requests:
        return None
    percentiles = ("p50", "p99") if fewest >= MIN_TAIL_REQUESTS else ("p50",)
    for name in percentiles:
        latency = getattr(candidate, name)
        champion_latency = getattr(champion, name)
        if latency is None or champion_latency is None:
            continue
        limit = max(champion_latency * rollout.maximum_latency_ratio, champion_latency + LATENCY_FLOOR_MS)
        if latency > limit:
            return (
                f"latency {name} is {latency:.1f} ms, {limit:.1f} ms are allowed "
                f"(champion {champion_latency:.1f} ms)"
            )
    return None


def _check_prediction_shift(observation: Observation, rollout: Rollout) -> str | None:
    if observation.shape_mismatches:
        return (
            f"{observation.shape_mismatches} responses have another number of predictions or classes "
            "than the champion's"
        )
    if observation.prediction_shift is None or observation.pairs < rollout.minimum_requests:
        return None
    if observation.prediction_shift > rollout.maximum_prediction_shift:
        return (
            f"predictions for the same {observation.pairs} requests differ by "
            f"{observation.prediction_shift:.1%} of their range on average, "
            f"{rollout.maximum_prediction_shift:.1%} are allowed"
        )
    return None


def _find_missing_data(
    observation: Observation, candidate: RequestCounts, rollout: Rollout, stage: RolloutStage
) -> str | None:
    minimum = rollout.minimum_requests
    if candidate.requests < minimum:
        return f"{candidate.requests} of the {minimum} requests that the analysis needs"
    if observation.champion is None:
        return None
    if observation.champion.requests < minimum:
        return (
            f"the champion answered {observation.champion.requests} requests, {minimum} are needed to compare"
        )
    if stage == "shadow" and observation.pairs < minimum:
        return f"{observation.pairs} requests were answered by both versions, {minimum} are needed to compare"
    return None
