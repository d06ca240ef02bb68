"""Simulated rollouts: false alarms, misses, and requests exposed until the roll back, of three rules."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import norm

from include.release.analysis.e_processes import (
    BETS,
    log_e_quantile_increased,
    log_e_rate_above,
    log_e_rate_increased,
    log_odds_evidence,
)
from include.release.analysis.metrics import LATENCY_FLOOR_MS, METRICS
from include.release.analysis.observations import LATENCY_EDGES
from include.release.analysis.outcomes import N_STAGES
from tests.bench.figures import Figure

if TYPE_CHECKING:
    import numpy.typing as npt

    from tests.bench.rig import Rig

    Values = npt.NDArray[Any]

ROLLOUTS = 10_000
CHUNK = 250
# Of 20 requests per second for ten minutes, in each step; the rules look every 30 s.
STEPS = (0.02, 0.25, 0.75)
LOOKS = 20
REQUESTS_PER_LOOK = 600
COPIES = 2_000
COPIES_PER_LOOK = 100
N_STEPS = len(STEPS) + 2
ALPHA = 0.01
FAILURE_RATE = 0.02
FAILURE_RATIO = 1.25
MAXIMUM_ERROR_RATE = 0.01
LATENCY_RATIO = 1.25
MEDIAN_MS = 100.0
LATENCY_SPREAD = 0.4
MAXIMUM_SHIFT = 0.1
# The former rule took errors as shares of at least so many requests, and latency and shift only of so many.
FORMER_REQUESTS = 200
EDGES = LATENCY_EDGES[(LATENCY_EDGES > 20) & (LATENCY_EDGES < 700)]
SHARES: dict[str, float] = {metric.name: metric.share for metric in METRICS}
RULES = ("sequential", "fixed", "former")
NEVER = np.inf
PICTURE = Path(__file__).parents[2] / "docs" / "pictures" / "canary.svg"


@dataclass(frozen=True, slots=True)
class Scenario:
    """What the challenger does: failure rate, factor of the latency, mean shift of predictions."""

    name: str
    failure_rate: float = FAILURE_RATE
    slowdown: float = 1.0
    shift: float = 0.05
    # To judge only what differs takes less time; the other metrics could only add false alarms.
    judged: tuple[str, ...] = ("shift", "failures", "latency")


SCENARIOS = (
    Scenario("no difference"),
    Scenario("failures doubled", failure_rate=2 * FAILURE_RATE, judged=("failures",)),
    Scenario("latency x 1.5", slowdown=1.5, judged=("latency",)),
    Scenario("predictions shifted", shift=0.2, judged=("shift",)),
)


def canary_false_alarm_rate(_: Rig) -> Figure:
    """Return the share of rollouts without a difference that are rolled back."""
    exposed = simulate_all()[SCENARIOS[0].name]
    rates = {rule: float(np.mean(exposed[rule] < NEVER)) for rule in RULES}
    how = (
        f"{ROLLOUTS:,} simulated rollouts, {LOOKS} looks in each of {len(STEPS) + 1} steps; "
        f"one fixed-sample test per step {rates['fixed']:.2%}, the former rule {rates['former']:.2%}"
    )
    return Figure("canary_false_alarm_rate", rates["sequential"], "share", f"at most {ALPHA}", how)


def canary_requests_exposed(_: Rig) -> Figure:
    """Return the median number of requests that a challenger with doubled failures answers."""
    results = simulate_all()
    draw(results)
    exposed = results[SCENARIOS[1].name]
    rows = []
    for scenario in SCENARIOS:
        for rule in RULES:
            requests = results[scenario.name][rule]
            missed = np.mean(requests == NEVER)
            rows.append(f"{scenario.name}, {rule}: misses {missed:.2%}, median {describe(requests)}")
    value = float(np.median(np.minimum(exposed["sequential"], total_exposed())))
    against = f"fixed-sample test: {describe(exposed['fixed'])}"
    return Figure("canary_requests_exposed", value, "requests", against, "; ".join(rows))


def describe(exposed: Values) -> str:
    """Return the median of the rollouts that are rolled back."""
    stopped = exposed[exposed < NEVER]
    return f"{np.median(stopped):,.0f}" if len(stopped) else "none"


def total_exposed() -> float:
    """Return how many requests a challenger answers in a rollout that is not rolled back."""
    return float(sum(STEPS) * LOOKS * REQUESTS_PER_LOOK)


@cache
def simulate_all() -> dict[str, dict[str, Values]]:
    """Return, by scenario and rule, how many requests each rollout exposed until its roll back."""
    return {scenario.name: simulate(scenario, ROLLOUTS) for scenario in SCENARIOS}


def simulate(scenario: Scenario, rollouts: int, *, seed: int = 0) -> dict[str, Values]:
    """
    Return, by rule, the requests that the challenger answered until its roll back.

    Returns
    -------
    dict
        Arrays (rollouts,); 0 if the shadow step stopped it, infinity if nothing did.
    """
    random = np.random.default_rng(seed)
    results: dict[str, list[Values]] = {rule: [] for rule in RULES}
    for first in range(0, rollouts, CHUNK):
        chunk = _simulate_chunk(random, scenario, min(CHUNK, rollouts - first))
        for rule in RULES:
            results[rule].append(chunk[rule])
    return {rule: np.concatenate(parts) for rule, parts in results.items()}


def _simulate_chunk(random: np.random.Generator, scenario: Scenario, size: int) -> dict[str, Values]:
    nothing = {rule: np.full(size, NEVER) for rule in RULES}
    shifted = _judge_shift(random, scenario, size) if "shift" in scenario.judged else nothing
    failed = _judge_failures(random, scenario, size) if "failures" in scenario.judged else nothing
    slow = _judge_latency(random, scenario, size) if "latency" in scenario.judged else nothing
    return {rule: np.minimum.reduce([shifted[rule], failed[rule], slow[rule]]) for rule in RULES}


def _log_limit(*names: str) -> float:
    return -float(np.log(ALPHA * sum((SHARES[name] for name in names), start=0.0)))


def _fixed_level() -> float:
    """Return the quantile of a one-sided test; three metrics are tested at the end of each step."""
    return float(norm.isf(ALPHA / (3 * len(STEPS))))


def _judge_shift(random: np.random.Generator, scenario: Scenario, size: int) -> dict[str, Values]:
    """Return 0 where the shadow step finds the shift; the differences of predictions are beta variables."""
    shifts = random.beta(10 * scenario.shift, 10 * (1 - scenario.shift), size=(size, COPIES))
    looks = np.arange(COPIES_PER_LOOK, COPIES + 1, COPIES_PER_LOOK)
    wealth = [
        np.log1p(bet / MAXIMUM_SHIFT * (shifts - MAXIMUM_SHIFT)).cumsum(axis=1)[:, looks - 1] for bet in BETS
    ]
    evidence = np.logaddexp.reduce(np.stack(wealth), axis=0) - np.log(len(BETS) * N_STEPS)
    means = shifts.cumsum(axis=1)[:, looks - 1] / looks
    error = shifts.std(axis=1) / np.sqrt(COPIES)
    alarms = {
        "sequential": (evidence >= _log_limit("prediction_shift")).any(axis=1),
        "fixed": means[:, -1] > MAXIMUM_SHIFT + _fixed_level() * error,
        "former": (means[:, looks >= FORMER_REQUESTS] > MAXIMUM_SHIFT).any(axis=1),
    }
    return {rule: np.where(alarm, 0.0, NEVER) for rule, alarm in alarms.items()}


def _split(share: float) -> tuple[int, int]:
    new = round(share * REQUESTS_PER_LOOK)
    return REQUESTS_PER_LOOK - new, new


def _first(alarms: Values) -> Values:
    """Return how many requests the challenger answered until the first alarm, given (size, looks)."""
    answered = np.concatenate([np.full(LOOKS, _split(share)[1]) for share in STEPS]).cumsum()
    first = np.argmax(alarms, axis=1)
    return np.where(alarms.any(axis=1), answered[first], NEVER)


def _judge_failures(random: np.random.Generator, scenario: Scenario, size: int) -> dict[str, Values]:
    splits = np.repeat([_split(share) for share in STEPS], LOOKS, axis=0)
    trials = np.broadcast_to(splits[:, 0], (size, len(splits))).astype(float)
    new_trials = np.broadcast_to(splits[:, 1], (size, len(splits))).astype(float)
    hits = random.binomial(trials.astype(int), FAILURE_RATE).astype(float)
    new_hits = random.binomial(new_trials.astype(int), scenario.failure_rate).astype(float)
    by_step = (size, len(STEPS), LOOKS)
    old_hits, old_n, hits_n, new_n = (
        values.reshape(by_step).cumsum(axis=2).reshape(size, -1)
        for values in (hits, trials, new_hits, new_trials)
    )
    step = np.minimum(
        log_e_rate_increased((old_hits, old_n), (hits_n, new_n), effect=0.0, slope=FAILURE_RATIO),
        log_e_rate_above(hits_n, new_n, MAXIMUM_ERROR_RATE),
    )
    odds = log_odds_evidence((hits, trials), (new_hits, new_trials), ratio=FAILURE_RATIO).cumsum(axis=-1)
    stage = np.minimum(
        np.logaddexp.reduce(odds, axis=0) - np.log(len(odds)),
        log_e_rate_above(new_hits.cumsum(axis=1), new_trials.cumsum(axis=1), MAXIMUM_ERROR_RATE),
    )
    total = np.logaddexp(step - np.log(2 * N_STEPS), stage - np.log(2 * N_STAGES))
    old_rate = old_hits / old_n
    new_rate = hits_n / new_n
    error = np.sqrt(new_rate * (1 - new_rate) / new_n + FAILURE_RATIO**2 * old_rate * (1 - old_rate) / old_n)
    last = np.arange(len(splits)) % LOOKS == LOOKS - 1
    difference = new_rate - np.maximum(FAILURE_RATIO * old_rate, MAXIMUM_ERROR_RATE)
    return {
        "sequential": _first(total >= _log_limit("failures")),
        "fixed": _first((difference > _fixed_level() * error) & last),
        "former": _first(hits_n / np.maximum(new_n, FORMER_REQUESTS) > MAXIMUM_ERROR_RATE),
    }


def _judge_latency(random: np.random.Generator, scenario: Scenario, size: int) -> dict[str, Values]:
    largest = np.maximum(EDGES * LATENCY_RATIO, EDGES + LATENCY_FLOOR_MS)
    allowed = np.searchsorted(EDGES, largest * (1 - 1e-9))
    alarms: dict[str, list[Values]] = {rule: [] for rule in RULES}
    for share in STEPS:
        old_n, new_n = _split(share)
        old = np.zeros((size, len(EDGES) + 1))
        new = np.zeros((size, len(EDGES) + 1))
        for look in range(LOOKS):
            old += random.multinomial(old_n, _class_shares(1.0), size=size)
            new += random.multinomial(new_n, _class_shares(scenario.slowdown), size=size)
            slower: Values = np.zeros(size, dtype=bool)
            for name, level in (("latency_p50", 0.5), ("latency_p99", 0.99)):
                # All requests have one of four sizes.
                evidence = log_e_quantile_increased(old, new, allowed, level=level) - np.log(4 * N_STEPS)
                slower |= evidence >= _log_limit(name)
            alarms["sequential"].append(slower)
            alarms["former"].append(_is_slow_by_former_rule(old, new))
            alarms["fixed"].append(np.logical_and(_is_slower(old, new), look == LOOKS - 1))
    return {rule: _first(np.stack(alarms[rule], axis=1)) for rule in RULES}


def _class_shares(slowdown: float) -> Values:
    below = norm.cdf(np.log(EDGES / (MEDIAN_MS * slowdown)) / LATENCY_SPREAD)
    shares: Values = np.diff(np.concatenate([[0.0], below, [1.0]]))
    return shares


def _quantile(histogram: Values, level: float) -> Values:
    cumulative = histogram.cumsum(axis=1)
    position = np.argmax(cumulative >= level * cumulative[:, -1:], axis=1)
    quantiles: Values = EDGES[np.minimum(position, len(EDGES) - 1)]
    return quantiles


def _is_slow_by_former_rule(old: Values, new: Values) -> Values:
    if min(old[0].sum(), new[0].sum()) < FORMER_REQUESTS:
        return np.zeros(len(old), dtype=bool)
    slow = np.zeros(len(old), dtype=bool)
    for level in (0.5, 0.99):
        champion = _quantile(old, level)
        limit = np.maximum(champion * LATENCY_RATIO, champion + LATENCY_FLOOR_MS)
        slow |= _quantile(new, level) > limit
    return slow


def _is_slower(old: Values, new: Values) -> Values:
    """Test at a fixed sample whether more than half of the requests are slower than the allowed median."""
    limit = np.searchsorted(EDGES, _quantile(old, 0.5) * LATENCY_RATIO * (1 - 1e-9))
    n_new = new.sum(axis=1)
    above = n_new - np.take_along_axis(new.cumsum(axis=1), limit[:, None], axis=1)[:, 0]
    error = 0.5 * np.sqrt(1 / n_new + 1 / old.sum(axis=1))
    slower: Values = above / n_new > 0.5 + _fixed_level() * error
    return slower


def draw(results: dict[str, dict[str, Values]], path: Path = PICTURE) -> None:
    """Draw the share of rollouts that are rolled back over the requests that the challenger answered."""
    import matplotlib as mpl
    from matplotlib.figure import Figure as Drawing

    mpl.rcParams["svg.hashsalt"] = "canary"
    drawing = Drawing(figsize=(11, 3.2), layout="constrained")
    axes = drawing.subplots(1, len(SCENARIOS), sharey=True)
    grid = np.linspace(0, total_exposed(), 400)
    for axis, scenario in zip(axes, SCENARIOS, strict=True):
        for rule in RULES:
            exposed = np.sort(results[scenario.name][rule])
            axis.step(grid, np.searchsorted(exposed, grid, side="right") / len(exposed), label=rule)
        axis.set_title(scenario.name, fontsize=10)
        axis.set_xlabel("requests of the challenger")
        axis.set_ylim(-0.03, 1.03)
    axes[0].set_ylabel("rolled back")
    axes[0].legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    drawing.savefig(path, format="svg", metadata={"Date": None})
