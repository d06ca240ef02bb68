"""Gates that follow from the risk of a use case, where they are no others with limits of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from include.declarations import Gate, Robustness
from include.declarations.risk import NotMeasured, StandardRobustness
from include.modeling.gates.base import PromotionGate
from include.modeling.gates.robustness import RobustnessGate

if TYPE_CHECKING:
    from include.declarations import UseCase
    from include.modeling.evaluation.context import EvaluationContext
    from include.modeling.evaluation.evidence import Evidence, Measurement
    from include.modeling.gates.base import Verdict

# Noise, as a part of a column's standard deviation.
NOISE = 0.01


class StandardRobustnessGate(RobustnessGate):
    """Predictions of missing and unseen values, and of a little noise, stay possible and change little."""

    def __init__(self, declared: StandardRobustness, use_case: UseCase) -> None:
        limits = declared.model_dump(include={"severity", "maximum_flips", "rows"})
        super().__init__(Robustness(missing=use_case.features, **limits), use_case)

    def measure(self, context: EvaluationContext) -> Measurement:
        """Return what perturbations change that follow from the training rows."""
        columns = perturbed_columns(context.train.frame[list(self.use_case.features)])
        self.declared = self.declared.model_copy(update=columns)
        return super().measure(context)


class NotMeasuredGate(PromotionGate[NotMeasured]):
    """A standard gate that is switched off, or that is not for the task."""

    def judge(self, evidence: Evidence) -> Verdict:
        """Pass with the reason."""
        return self.verdict("pass", f"not measured: {self.declared.reason}", {})


class RiskGate(PromotionGate[Gate]):
    """A person approves each candidate of a use case with a high risk."""

    def judge(self, evidence: Evidence) -> Verdict:
        """Pass a low or medium risk; a high one is inconclusive, so that a person is asked."""
        risk = self.use_case.risk
        if risk is None:
            return self.verdict("pass", "no risk is declared", {})
        reason = f"{risk.level} risk, as {risk.reviewer} judged it on {risk.reviewed}: {risk.impact}"
        if risk.level == "high":
            reason += "; a person other than the one who started the training approves each candidate"
        return self.verdict("inconclusive" if risk.level == "high" else "pass", reason, {"level": risk.level})


def perturbed_columns(train: pd.DataFrame) -> dict[str, Any]:
    """
    Return the perturbations of features, by the fields of `Robustness`.

    Columns with missing values are tried without a value, texts with an unseen one, and numbers with noise.
    """
    numbers = [
        str(name)
        for name, column in train.items()
        if pd.api.types.is_float_dtype(column) and column.nunique() > 1
    ]
    texts = [str(name) for name, column in train.items() if not pd.api.types.is_numeric_dtype(column)]
    texts = [name for name in texts if train[name].map(lambda value: isinstance(value, str)).any()]
    return {
        "noise": {name: NOISE * float(train[name].std()) for name in numbers},
        "missing": tuple(str(name) for name, column in train.items() if column.isna().any()),
        "unseen": tuple(texts),
        "extremes": (),
    }
