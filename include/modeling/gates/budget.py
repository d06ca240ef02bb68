"""Gate on what a candidate costs to run: latency, size and memory."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING

from include.declarations import Budget
from include.errors import ModelError
from include.modeling.evaluation.evidence import Measurement
from include.modeling.gates.base import PromotionGate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.modeling.evaluation.context import EvaluationContext
    from include.modeling.evaluation.evidence import Evidence, Figure
    from include.modeling.evaluation.isolated_process import ProcessMeasurement
    from include.modeling.gates.base import Verdict

# Of each resource: the figure that is limited, the one that is compared, its unit, and its description.
RESOURCES = {
    "latency": ("latency_p99_ms", "latency_p50_ms", "ms", "99 % of single rows within"),
    "size": ("size_mb", "size_mb", "MB", "the model's files take"),
    "memory": ("memory_mb", "memory_mb", "MB", "a process with the model takes"),
}


class BudgetGate(PromotionGate[Budget]):
    """Latency, size and memory stay within their limits, and within a ratio to the champion's."""

    needs_process = True

    def measure(self, context: EvaluationContext) -> Measurement:
        """
        Return what the model takes in an isolated process, and the champion too where the gate compares.

        Raises
        ------
        ModelError
            If one of them cannot predict there.
        """
        isolated = context.package.isolated
        if isolated is None:
            raise ModelError("no isolated process was started")
        figures = _figures(isolated(), "")
        champion_isolated = context.champion.package.isolated if context.champion else None
        if self.declared.compares and champion_isolated is not None:
            figures |= _figures(champion_isolated(), "champion_")
        return Measurement(figures=figures, rows=1)

    def judge(self, evidence: Evidence) -> Verdict:
        """Fail if a limit or a ratio is exceeded; the reason names each that is."""
        figures = self.measurement(evidence).figures
        exceeded: list[str] = []
        respected: list[str] = []
        for resource in RESOURCES:
            for is_exceeded, message in (*self._limit(resource, figures), *self._ratio(resource, figures)):
                messages = exceeded if is_exceeded else respected
                messages.append(message)
        if not exceeded and not respected:
            return self.verdict("pass", "there is no champion yet to compare with", figures)
        return self.verdict("fail" if exceeded else "pass", "; ".join(exceeded or respected), figures)

    def _limit(self, resource: str, figures: Mapping[str, Figure]) -> list[tuple[bool, str]]:
        """Return whether the limit of a resource is exceeded, with a message; nothing without a limit."""
        name, _, unit, description = RESOURCES[resource]
        limit = getattr(self.declared, f"maximum_{resource}_{unit.lower()}")
        if limit is None:
            return []
        value = float(figures[name])
        return [(value > limit, f"{description} {value:.4g} {unit}, {limit:g} {unit} allowed")]

    def _ratio(self, resource: str, figures: Mapping[str, Figure]) -> list[tuple[bool, str]]:
        """Return whether the ratio to the champion is exceeded, with a message; nothing without one."""
        # The median latency is compared: the slowest call depends on what else the machine does.
        _, name, unit, _ = RESOURCES[resource]
        maximum = getattr(self.declared, f"maximum_{resource}_ratio")
        if maximum is None or f"champion_{name}" not in figures:
            return []
        value = float(figures[name])
        of_champion = float(figures[f"champion_{name}"])
        ratio = _ratio_of(value, of_champion)
        message = f"{resource} is {ratio:.2f} times the champion's ({value:.4g} {unit}), {maximum:g} allowed"
        return [(ratio > maximum, message)]


def _ratio_of(value: float, of_champion: float) -> float:
    """Return the ratio of two amounts; to nothing, any amount is infinite."""
    if of_champion:
        return value / of_champion
    return math.inf if value else 1.0


def _figures(measurement: ProcessMeasurement, prefix: str) -> dict[str, Figure]:
    figures = asdict(measurement)
    del figures["predictions"]
    return {f"{prefix}{name}": value for name, value in figures.items()}
