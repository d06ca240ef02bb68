"""How often the calibration gate refuses, or asks about, a model that gives the true probabilities."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from include.declarations import Calibration
from include.modeling.evaluation.bootstrap import UnitBootstrap
from include.modeling.gates.calibration import CalibrationGate
from tests.bench.figures import Figure

if TYPE_CHECKING:
    import numpy.typing as npt

    from tests.bench.rig import Rig

    Values = npt.NDArray[np.float64]

MODELS = 500
TASKS = ("binary", "multiclass", "regression")
# Test rows, and the days that they are of.
SIZES = ((60, 5), (300, 7), (1_000, 14))
LIMITS = (0.05, 0.1, 0.15)
N_CLASSES = 3
CONFIDENCE = 0.95


class Alarms(NamedTuple):
    """Share of the models that fail, and of those about which a person is asked."""

    failed: float
    inconclusive: float


def calibration_false_alarm_rate(_: Rig) -> Figure:
    """Return the largest share of true models that are refused, and all shares."""
    cells: list[str] = []
    rates = []
    for task in TASKS:
        for n_rows, n_days in SIZES:
            alarms = [simulate(task, n_rows, n_days, limit) for limit in LIMITS]
            rates += [alarm.failed for alarm in alarms]
            shares = ", ".join(f"{alarm.failed:.1%} ({alarm.inconclusive:.1%})" for alarm in alarms)
            cells.append(f"{task}, {n_rows} rows of {n_days} days: {shares}")
    how = (
        f"the largest of: {MODELS} models with the true probabilities or means for each, that fail (are "
        f"inconclusive) at {', '.join(map(str, LIMITS))}: {'; '.join(cells)}"
    )
    return Figure("calibration_false_alarm_rate", max(rates), "share", f"at most {1 - CONFIDENCE:.2f}", how)


def simulate(task: str, n_rows: int, n_days: int, limit: float, models: int = MODELS) -> Alarms:
    """Return how often the gate refuses true models, or is inconclusive about them."""
    use_case: Any = SimpleNamespace(task=task)
    gate = CalibrationGate(Calibration(maximum_error=limit, confidence=CONFIDENCE), use_case)
    units = UnitBootstrap.of_days(np.arange(n_rows) * n_days // n_rows)
    failed = 0
    inconclusive = 0
    for seed in range(models):
        true, target = draw(task, np.random.default_rng([seed, n_rows]), n_rows)
        rows = SimpleNamespace(predictions=true, target=target)
        context: Any = SimpleNamespace(test=rows, train=rows, units=units, use_case=use_case)
        figures = gate.measure(context).figures
        is_failed = float(figures["lower"]) > limit
        failed += is_failed
        inconclusive += float(figures["error"]) > limit and not is_failed
    return Alarms(failed / models, inconclusive / models)


def draw(task: str, random: np.random.Generator, n_rows: int) -> tuple[Values, Values]:
    """Return true probabilities (n,), (n, N_CLASSES) or means (n,), and targets drawn from them (n,)."""
    if task == "regression":
        means = random.normal(size=n_rows)
        return means, means + random.normal(size=n_rows)
    if task == "binary":
        chances = random.random(n_rows)
        return chances, (random.random(n_rows) < chances).astype(np.float64)
    chances = random.dirichlet(np.ones(N_CLASSES), n_rows)
    codes = (random.random((n_rows, 1)) > chances.cumsum(axis=1)).sum(axis=1)
    return chances, codes.astype(np.float64)
