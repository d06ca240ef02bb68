"""What predictions cost and bring, in the owner's currency."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from include.declarations.base import Declaration

Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
Money = Annotated[float, Field(ge=0)]


class DecisionCost(Declaration):
    """
    What acting on a row costs when it is negative, and not acting when it is positive.

    What right decisions bring is optional. A row is acted on from the probability on that cost least on the
    validation rows.
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
            raise ValueError("one of the two decisions is never wrong: then no model is needed")
        return self


class ErrorCost(Declaration):
    """What each unit costs by which a value is predicted too high (`over`), or too low (`under`)."""

    kind: Literal["error"] = "error"
    currency: Currency
    over: Money
    under: Money

    @model_validator(mode="after")
    def _can_differ(self) -> Self:
        if not self.over or not self.under:
            raise ValueError("over and under must both cost something, or an endless prediction is the best")
        return self


AnyCost = Annotated[DecisionCost | ErrorCost, Field(discriminator="kind")]
