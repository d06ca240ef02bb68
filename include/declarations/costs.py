"""Costs of wrong predictions and benefits of right ones, in the owner's currency."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from include.declarations.base import Declaration

Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
Money = Annotated[float, Field(ge=0)]


class DecisionCost(Declaration):
    """
    Costs of a wrong binary decision: acting on a negative row, or not acting on a positive one.

    Amounts are per row, in `currency` (ISO 4217); benefits of right decisions are optional. The decision
    threshold is the probability that costs least on the validation rows.
    """

    kind: Literal["decision"] = "decision"
    currency: Currency
    false_positive: Money
    false_negative: Money
    benefit_true_positive: Money = 0.0
    benefit_true_negative: Money = 0.0

    @model_validator(mode="after")
    def _can_differ(self) -> Self:
        positive = self.false_negative + self.benefit_true_positive
        negative = self.false_positive + self.benefit_true_negative
        if not positive or not negative:
            raise ValueError("each of the two decisions needs a cost or a benefit; else no model is needed")
        return self


class ErrorCost(Declaration):
    """Costs of a wrong number, per unit of the error: predicted too high (`over`) or too low (`under`)."""

    kind: Literal["error"] = "error"
    currency: Currency
    over: Money
    under: Money

    @model_validator(mode="after")
    def _can_differ(self) -> Self:
        if not self.over or not self.under:
            raise ValueError(
                "over and under must both be above 0, otherwise an infinite prediction costs least"
            )
        return self


AnyCost = Annotated[DecisionCost | ErrorCost, Field(discriminator="kind")]
