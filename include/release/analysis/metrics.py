"""Metrics of a rollout step: each gives the evidence that the challenger is worse than the champion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from include.release.analysis.e_processes import (
    log_e_mean_above,
    log_e_odds_increased,
    log_e_quantile_increased,
    log_e_rate_above,
    log_e_rate_increased,
)
from include.release.analysis.observations import LATENCY_EDGES

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from include.declarations import Rollout, RolloutMetric
    from include.release.analysis.observations import Observation, Responses

# A difference below this is not noticed by callers and never stops a rollout.
LATENCY_FLOOR_MS = 10.0
# A challenger may give the same prediction twice more often than the champion by half of what is left to 1.
ALLOWED_REPEATS = 0.5
NONE = float("-inf")


@dataclass(frozen=True, slots=True)
class LogEvidence:
    """
    Evidence that the challenger is worse: natural logarithms of two e-values, and the figures in words.

    `step` is of the requests of the step, `stage` of the complete strata of all canary or shadow steps.
    """

    words: str
    step: float = NONE
    stage: float = NONE


@dataclass(frozen=True, slots=True)
class Metric:
    """`share` is the metric's share of the false alarm rate; `measure` returns None without data."""

    name: RolloutMetric
    share: float
    measure: Callable[[Observation, Rollout], LogEvidence | None]


def _measure_failures(observation: Observation, rollout: Rollout) -> LogEvidence | None:
    return _measure_rate(observation, rollout, "errors")


def _measure_refused(observation: Observation, rollout: Rollout) -> LogEvidence | None:
    # A mistake of the caller is refused by both versions. What only the challenger refuses is its own fault.
    return _measure_rate(observation, rollout, "refused") if observation.champion else None


def _measure_rate(observation: Observation, rollout: Rollout, name: str) -> LogEvidence | None:
    new = observation.challenger.counts
    if not new.requests:
        return None
    hits = getattr(new, name)
    verb = "failed" if name == "errors" else "were refused"
    limit = rollout.maximum_error_rate
    if observation.champion is None:
        words = f"{hits} of {new.requests} requests {verb}, {limit:.2%} are allowed"
        return LogEvidence(words, float(log_e_rate_above(hits, new.requests, limit)))
    old = observation.champion.counts
    old_hits = getattr(old, name)
    words = (
        f"{hits} of {new.requests} requests {verb}, {old_hits} of {old.requests} at the champion; allowed "
        f"are {limit:.2%}, or {rollout.maximum_failure_ratio:g} times the champion's"
    )
    ratio = rollout.maximum_failure_ratio
    # Worse is what exceeds both the limit and the champion: the weaker evidence counts.
    increase = log_e_rate_increased((old_hits, old.requests), (hits, new.requests), effect=0.0, slope=ratio)
    step = np.minimum(increase, log_e_rate_above(hits, new.requests, limit))
    row = 1 if name == "errors" else 2
    old_strata = observation.strata.champion
    new_strata = observation.strata.challenger
    relative = log_e_odds_increased(
        (old_strata[row], old_strata[0]), (new_strata[row], new_strata[0]), ratio=ratio
    )
    absolute = log_e_rate_above(new_strata[row].sum(), new_strata[0].sum(), limit)
    return LogEvidence(words, float(step), float(np.minimum(relative, absolute)))


def _measure_median(observation: Observation, rollout: Rollout) -> LogEvidence | None:
    return _measure_latency(observation, rollout, "p50", 0.5)


def _measure_tail(observation: Observation, rollout: Rollout) -> LogEvidence | None:
    return _measure_latency(observation, rollout, "p99", 0.99)


def _measure_latency(
    observation: Observation, rollout: Rollout, name: str, level: float
) -> LogEvidence | None:
    champion = observation.champion
    new = observation.challenger
    if champion is None or not champion.latencies.sum() or not new.latencies.sum():
        return None
    ratio = rollout.maximum_latency_ratio
    by_size = log_e_quantile_increased(champion.latencies, new.latencies, allowed_edges(ratio), level=level)
    step = np.logaddexp.reduce(by_size) - np.log(len(by_size))
    old_ms = getattr(champion.counts, name) or 0.0
    new_ms = getattr(new.counts, name) or 0.0
    limit = max(old_ms * ratio, old_ms + LATENCY_FLOOR_MS)
    words = f"latency {name} is {new_ms:.1f} ms, {limit:.1f} ms are allowed (champion {old_ms:.1f} ms)"
    return LogEvidence(words, float(step))


def allowed_edges(ratio: float) -> NDArray[np.intp]:
    """Return, for each edge of the champion's latency, the largest edge that the challenger may have."""
    largest = np.maximum(LATENCY_EDGES * ratio, LATENCY_EDGES + LATENCY_FLOOR_MS)
    # A value that is an edge itself stays one, whatever its last digits.
    allowed: NDArray[np.intp] = np.searchsorted(LATENCY_EDGES, largest * (1 - 1e-9))
    return allowed


def _measure_shift(observation: Observation, rollout: Rollout) -> LogEvidence | None:
    if not observation.shifts:
        return None
    limit = rollout.maximum_prediction_shift
    words = (
        f"predictions for the same {len(observation.shifts)} requests differ by "
        f"{np.mean(observation.shifts):.1%} of their range on average, {limit:.1%} are allowed"
    )
    return LogEvidence(words, float(log_e_mean_above(observation.shifts, limit)))


def _measure_constant(observation: Observation, rollout: Rollout) -> LogEvidence | None:
    champion = observation.champion
    new = observation.challenger
    if champion is None or not champion.repeat_trials or not new.repeat_trials:
        return None
    words = (
        f"different inputs got the same prediction {new.repeats} of {new.repeat_trials} times, "
        f"{champion.repeats} of {champion.repeat_trials} times by the champion"
    )
    step = log_e_rate_increased(
        (champion.repeats, champion.repeat_trials),
        (new.repeats, new.repeat_trials),
        effect=ALLOWED_REPEATS,
        slope=1 - ALLOWED_REPEATS,
    )
    return LogEvidence(words, float(step))


def _measure_distribution(observation: Observation, rollout: Rollout) -> LogEvidence | None:
    champion = observation.champion
    if champion is None or not champion.predictions or not observation.challenger.predictions:
        return None
    if not observation.thresholds:
        return None
    old = _count_above(champion, observation.thresholds)
    new = _count_above(observation.challenger, observation.thresholds)
    effect = rollout.maximum_distribution_shift
    higher = log_e_rate_increased(old, new, effect=effect)
    lower = log_e_rate_increased(new, old, effect=effect)
    all_evidence = np.concatenate([higher, lower])
    distance = float(np.max(np.abs(old[0] / old[1] - new[0] / new[1])))
    words = (
        f"the distributions of {len(observation.challenger.predictions)} and {len(champion.predictions)} "
        f"predictions differ by {distance:.1%}, {effect:.1%} are allowed"
    )
    return LogEvidence(words, float(np.logaddexp.reduce(all_evidence) - np.log(len(all_evidence))))


def _count_above(
    responses: Responses, thresholds: tuple[float, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    predictions = np.sort(np.asarray(responses.predictions))
    above = len(predictions) - np.searchsorted(predictions, thresholds, side="right")
    return above.astype(float), np.full(len(thresholds), float(len(predictions)))


def _measure_quality(observation: Observation, rollout: Rollout) -> LogEvidence | None:
    losses = observation.losses
    if losses is None:
        return None
    old = np.asarray(losses.champion)
    new = np.asarray(losses.challenger)
    effect = rollout.maximum_loss_increase
    words = (
        f"the loss on {len(new)} labels is {new.mean():.3f}, {old.mean() + effect:.3f} are allowed "
        f"(champion {old.mean():.3f})"
    )
    # Differences from -1 to 1, moved to 0 to 1.
    return LogEvidence(words, float(log_e_mean_above((1 + new - old) / 2, (1 + effect) / 2)))


METRICS = (
    Metric("failures", 0.3, _measure_failures),
    Metric("refused", 0.1, _measure_refused),
    Metric("latency_p50", 0.15, _measure_median),
    Metric("latency_p99", 0.1, _measure_tail),
    Metric("prediction_shift", 0.15, _measure_shift),
    Metric("constant_predictions", 0.05, _measure_constant),
    Metric("prediction_distribution", 0.05, _measure_distribution),
    Metric("quality", 0.1, _measure_quality),
)
