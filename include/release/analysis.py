"""Judge a challenger by what its callers saw: errors, latency, and other answers to the same requests."""

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

LATENCY_FLOOR_MS = 10.0  # a difference that no caller notices never stops a rollout
TAIL_REQUESTS = 200  # below this the 99th percentile is one or two requests, a start or a pause

_ROLE = text("""
SELECT count(*) AS requests,
       count(*) FILTER (WHERE status NOT BETWEEN 200 AND 299 AND status NOT BETWEEN 400 AND 499) AS errors,
       count(*) FILTER (WHERE status BETWEEN 400 AND 499) AS refused,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms) FILTER (WHERE answered) AS p50,
       percentile_cont(0.99) WITHIN GROUP (ORDER BY latency_ms) FILTER (WHERE answered) AS p99
FROM (SELECT status, latency_ms, status BETWEEN 200 AND 299 AS answered FROM inference_log
      WHERE use_case = :use_case AND version = :version AND role = :role AND received_at >= :since) AS seen
""")

# Each request counts once, however many rows it carries. Answers of another length are compared by nobody:
# they count as `unlike`, and so do rows with another number of classes. Of several classes the difference
# is half of what their probabilities differ by: the share of probability that has moved.
_PAIRS = text("""
WITH pair AS (
  SELECT theirs.predictions AS ours, mine.predictions AS new
  FROM inference_log AS mine
  JOIN inference_log AS theirs USING (use_case, request_id)
  WHERE use_case = :use_case AND mine.version = :challenger AND mine.role = 'shadow'
    AND theirs.version = :champion AND theirs.role = 'champion' AND mine.received_at >= :since
    AND mine.status BETWEEN 200 AND 299 AND theirs.status BETWEEN 200 AND 299
    AND jsonb_typeof(mine.predictions) = 'array' AND jsonb_typeof(theirs.predictions) = 'array'
  ORDER BY mine.received_at DESC LIMIT :most
)
SELECT count(*) FILTER (WHERE alike) AS pairs,
       count(*) FILTER (WHERE NOT alike) AS unlike,
       avg(shift) FILTER (WHERE alike) AS shift
FROM pair CROSS JOIN LATERAL (
  SELECT jsonb_array_length(ours) = jsonb_array_length(new)
         AND coalesce(bool_and(jsonb_typeof(a) = jsonb_typeof(b) AND CASE jsonb_typeof(a)
           WHEN 'array' THEN jsonb_typeof(b) = 'array' AND jsonb_array_length(a) = jsonb_array_length(b)
           ELSE true END), true) AS alike
  FROM ROWS FROM (jsonb_array_elements(ours), jsonb_array_elements(new)) AS both_of(a, b)
) AS shape CROSS JOIN LATERAL (
  SELECT avg(CASE WHEN NOT alike THEN NULL WHEN jsonb_typeof(a) = 'array' THEN (
    SELECT sum(abs(p::float8 - q::float8)) / 2
    FROM ROWS FROM (jsonb_array_elements_text(a), jsonb_array_elements_text(b)) AS classes(p, q)
  ) WHEN jsonb_typeof(a) = 'number' THEN abs(a::float8 - b::float8) END) AS shift
  FROM ROWS FROM (jsonb_array_elements(ours), jsonb_array_elements(new)) AS both_of(a, b)
) AS difference
""")
MOST_PAIRS = 5_000


@dataclass(frozen=True, slots=True)
class RequestCounts:
    """What one version did in a window; latencies in ms, of the requests that it answered."""

    requests: int = 0
    errors: int = 0
    refused: int = 0
    p50: float | None = None
    p99: float | None = None

    def rate(self, count: int, *, of_at_least: int = 1) -> float:
        """Return `count` as a share of the requests, as if there had been `of_at_least` of them."""
        return count / max(self.requests, of_at_least)


@dataclass(frozen=True, slots=True)
class Observation:
    """
    Both versions over one window.

    `shift` is the mean absolute difference of the predictions on `pairs` requests, as a share of the
    use case's `prediction_range`; `unlike` requests got answers of different lengths or classes.
    """

    champion: RequestCounts | None
    challenger: RequestCounts
    shadow: RequestCounts
    pairs: int = 0
    shape_mismatches: int = 0
    prediction_shift: float | None = None


@dataclass(frozen=True, slots=True)
class Analysis:
    """A judgement with the sentence and the figures that explain it."""

    outcome: AnalysisOutcome
    reason: str
    figures: dict[str, Any]


def observe(
    connection: Connection, use_case: UseCase, champion: int | None, challenger: int, *, since: datetime
) -> Observation:
    """
    Return what the inference log says of both versions from `since` on.

    Where the champion has too little traffic left to compare with (at 75 or 100 %), its figures are those
    since the rollout began; so are the pairs, in any step.
    A request that the challenger failed and the champion answered stands there twice, and counts for each.
    """

    def traffic(version: int, role: str, begin: datetime) -> RequestCounts:
        where = {"use_case": use_case.name, "version": version, "role": role, "since": begin}
        return RequestCounts(**connection.execute(_ROLE, where).mappings().one())

    ours, shadow = traffic(challenger, "challenger", since), traffic(challenger, "shadow", since)
    if champion is None:
        return Observation(None, ours, shadow)
    began = _began(connection, use_case.name, challenger, since)
    theirs = traffic(champion, "champion", since)
    if theirs.requests < use_case.rollout.minimum_requests:
        theirs = traffic(champion, "champion", began)
    where = {"use_case": use_case.name, "champion": champion, "challenger": challenger, "since": began}
    found = connection.execute(_PAIRS, where | {"most": MOST_PAIRS}).mappings().one()
    width = use_case.prediction_range[1] - use_case.prediction_range[0]
    shift = None if found["shift"] is None else found["shift"] / width
    return Observation(theirs, ours, shadow, found["pairs"], found["unlike"], shift)


def _began(connection: Connection, use_case: str, version: int, since: datetime) -> datetime:
    staged = select(func.max(ledger.c.at)).where(
        ledger.c.use_case == use_case, ledger.c.version == version, ledger.c.event == "staged"
    )
    return min(connection.scalar(staged) or since, since)


def analyse(observation: Observation, rollout: Rollout, *, stage: RolloutStage) -> Analysis:
    """
    Return whether the challenger may go on, must go back, or was seen too little to say.

    A clear failure is not waited for: errors that would exceed the limit even if every request still
    missing succeeded roll back at once.
    """
    seen = observation.shadow if stage == "shadow" else observation.challenger
    figures = asdict(observation) | {"stage": stage}
    found = (
        _errors(observation.champion, seen, rollout),
        _answers(observation, rollout),
        _latency(observation.champion, seen, rollout),
    )
    problems = [problem for problem in found if problem]
    if problems:
        return Analysis("roll_back", "; ".join(problems), figures)
    missing = _missing(observation, seen, rollout, stage)
    if missing:
        return Analysis("inconclusive", missing, figures)
    return Analysis("promote", f"{seen.requests} requests, nothing worse than what is allowed", figures)


def _errors(champion: RequestCounts | None, seen: RequestCounts, rollout: Rollout) -> str | None:
    limit = rollout.maximum_error_rate
    errors = seen.rate(seen.errors, of_at_least=rollout.minimum_requests)
    if errors > limit:
        return f"{seen.errors} of {seen.requests} requests failed, {limit:.2%} are allowed"
    # What the caller did wrong is refused by both; what one refuses is its own fault.
    refused = seen.rate(seen.refused, of_at_least=rollout.minimum_requests)
    usual = champion.rate(champion.refused) if champion else 0.0
    if refused - usual > limit:
        return f"{refused:.2%} of the requests were refused, by the champion {usual:.2%}"
    return None


def _latency(champion: RequestCounts | None, seen: RequestCounts, rollout: Rollout) -> str | None:
    if champion is None or min(seen.requests, champion.requests) < rollout.minimum_requests:
        return None
    enough_for_tail = min(seen.requests, champion.requests) >= TAIL_REQUESTS
    for name in ("p50", "p99") if enough_for_tail else ("p50",):
        mine, theirs = getattr(seen, name), getattr(champion, name)
        if mine is None or theirs is None:
            continue
        allowed = max(theirs * rollout.maximum_latency_ratio, theirs + LATENCY_FLOOR_MS)
        if mine > allowed:
            return f"latency {name} is {mine:.1f} ms, {allowed:.1f} ms are allowed (champion {theirs:.1f} ms)"
    return None


def _answers(observation: Observation, rollout: Rollout) -> str | None:
    if observation.shape_mismatches:
        return (
            f"{observation.shape_mismatches} answers have another number of predictions than the champion's"
        )
    if observation.prediction_shift is None or observation.pairs < rollout.minimum_requests:
        return None
    if observation.prediction_shift > rollout.maximum_prediction_shift:
        return (
            f"predictions on the same {observation.pairs} requests differ by "
            f"{observation.prediction_shift:.1%} of their range on average, "
            f"{rollout.maximum_prediction_shift:.1%} are allowed"
        )
    return None


def _missing(
    observation: Observation, seen: RequestCounts, rollout: Rollout, stage: RolloutStage
) -> str | None:
    least = rollout.minimum_requests
    if seen.requests < least:
        return f"{seen.requests} of the {least} requests that a judgement needs"
    if observation.champion is None:
        return None
    if observation.champion.requests < least:
        return (
            f"the champion answered {observation.champion.requests} requests, {least} are needed to compare"
        )
    if stage == "shadow" and observation.pairs < least:
        return f"{observation.pairs} requests were answered by both, {least} are needed to compare"
    return None
