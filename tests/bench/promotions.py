"""How often a use case promotes a challenger that is no better than its champion, over many nights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from include.declarations import Improvement
from include.modeling.evaluation.alpha_spending import spent_confidence
from include.modeling.evaluation.bootstrap import UnitBootstrap
from include.modeling.evaluation.evidence import ChampionComparison, Evidence, Gain
from include.modeling.gates.performance import ImprovementGate
from include.use_cases.flight_delay import USE_CASE
from tests.bench.figures import Figure

if TYPE_CHECKING:
    import numpy.typing as npt

    from tests.bench.rig import Rig

    Values = npt.NDArray[np.float64]

CYCLES = 10_000
NIGHTS = 30
TEST_DAYS = 14
CONFIDENCE = 0.95
# Correlation of a day's gain with that of the day before, and of tonight's challenger with last night's.
OF_DAYS = 0.2
OF_CHALLENGERS = 0.7


def false_promotion_rate(_: Rig) -> Figure:
    """Return the share of cycles of nightly useless challengers in which one is promoted."""
    rate = simulate_cycles(CYCLES, NIGHTS, of_days=OF_DAYS)
    independent = simulate_cycles(CYCLES // 5, NIGHTS, of_days=0.0)
    how = (
        f"{CYCLES:,} cycles of {NIGHTS} nights, test windows of {TEST_DAYS} days that overlap, gains of days "
        f"correlated by {OF_DAYS}; {independent:.2%} with independent days"
    )
    return Figure("false_promotion_rate", rate, "share", f"at most {1 - CONFIDENCE:.2f}", how)


def simulate_cycles(cycles: int, nights: int, *, of_days: float, seed: int = 0) -> float:
    """
    Return the share of cycles in which the improvement gate passes a challenger without any true gain.

    Parameters
    ----------
    cycles, nights : int
        A cycle ends with the first promotion, or after so many nights.
    of_days : float
        Correlation of the gains of neighbouring days, of which both models have good and bad ones.
    """
    random = np.random.default_rng(seed)
    units = UnitBootstrap.of_days(np.arange(TEST_DAYS))
    gate = ImprovementGate(Improvement(metric="log_loss", confidence=CONFIDENCE), USE_CASE)
    promoted = 0
    for _ in range(cycles):
        gains = gains_of_cycle(random, nights, of_days)
        promoted += any(passes(gate, units, gains[night], night + 1) for night in range(nights))
    return promoted / cycles


def gains_of_cycle(random: np.random.Generator, nights: int, of_days: float) -> Values:
    """Return the mean gain of each night's challenger on each of its test days, (nights, TEST_DAYS)."""
    n_days = nights + TEST_DAYS - 1
    challengers = random.normal(size=(nights, n_days))
    for night in range(1, nights):
        fresh = np.sqrt(1 - OF_CHALLENGERS**2) * challengers[night]
        challengers[night] = OF_CHALLENGERS * challengers[night - 1] + fresh
    for day in range(1, n_days):
        fresh = np.sqrt(1 - of_days**2) * challengers[:, day]
        challengers[:, day] = of_days * challengers[:, day - 1] + fresh
    return np.stack([challengers[night, night : night + TEST_DAYS] for night in range(nights)])


def passes(gate: ImprovementGate, units: UnitBootstrap, gains: Values, attempt: int) -> bool:
    """Return whether the gate passes a challenger with these gains per day."""
    value = float(gains.mean())
    if value <= 0:
        return False
    confidence = spent_confidence(CONFIDENCE, attempt)
    lower, upper = units.interval(
        lambda weights: np.asarray(weights @ gains / TEST_DAYS),
        confidence=CONFIDENCE,
        value=value,
        lower_confidence=confidence,
    )
    gain = Gain("log_loss", value, lower, upper, CONFIDENCE, TEST_DAYS, units.method, "days", attempt)
    champion = ChampionComparison(version=1, metrics={"log_loss": 1.0}, gains=(gain,), overlap=0)
    evidence = Evidence(
        metrics={"test": {"log_loss": 1.0}}, rows={"test": 1}, overlap=0, prediction_range=(0, 1),
        champion=champion, units=TEST_DAYS,
    )  # fmt: skip
    return gate.judge(evidence).outcome == "pass"
