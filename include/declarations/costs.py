"""Costs of wrong predictions and benefits of right ones, in the owner's currency."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from include.declarations.base import Declaration
from include.declarations.metrics import OWN_PATH
from include.errors import DeclarationError
from include.import_paths import import_function, require_parameters

Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
Money = Annotated[float, Field(ge=0)]
# Money of all rows; or, per row, a column or the import path of a function of the rows.
Amount = Money | Annotated[str, StringConstraints(min_length=1)]


def is_path(amount: Amount) -> bool:
    """Return whether an amount is the import path of a function."""
    return isinstance(amount, str) and OWN_PATH.fullmatch(amount) is not None


class Cost(Declaration):
    """
    What all costs have.

    An amount is money, the same for all rows, or differs by row: it is a column of the feature view, such as
    `amount`, or a function of yours that takes the rows and returns money for each, such as
    `include.my.costs:refund`. `columns` are further columns of the feature view that functions read.
    """

    currency: Currency
    columns: tuple[str, ...] = ()

    @property
    def amounts(self) -> dict[str, Amount]:
        """Amounts by name."""
        raise NotImplementedError

    @property
    def largest_difference(self) -> float | None:
        """Largest difference of two decisions about one row, in `currency`; None if it has no bound."""
        return None

    @property
    def row_columns(self) -> tuple[str, ...]:
        """Columns that the amounts of a row need."""
        named = (
            amount for amount in self.amounts.values() if isinstance(amount, str) and not is_path(amount)
        )
        return tuple(dict.fromkeys((*named, *self.columns)))

    def check(self, class_names: tuple[str, ...]) -> None:
        """Raise ValueError if a function cannot be called, or the amounts do not fit the classes."""
        for name, amount in self.amounts.items():
            if not is_path(amount):
                continue
            try:
                require_parameters(import_function(f"{amount}", f"cost.{name}"), ("rows",), f"cost.{name}")
            except DeclarationError as error:
                raise ValueError(str(error)) from error
        if self.columns and not any(map(is_path, self.amounts.values())):
            raise ValueError("cost.columns: no amount is a function that could read them; remove it")


class DecisionCost(Cost):
    """
    Costs of a wrong binary decision: acting on a negative row, or not acting on a positive one.

    Amounts are per row, in `currency` (ISO 4217); benefits of right decisions are optional. The decision
    threshold is the probability that costs least on the validation rows.
    """

    kind: Literal["decision"] = "decision"
    false_positive: Amount
    false_negative: Amount
    benefit_true_positive: Amount = 0.0
    benefit_true_negative: Amount = 0.0

    @model_validator(mode="after")
    def _can_differ(self) -> Self:
        positive = self.false_negative or self.benefit_true_positive
        negative = self.false_positive or self.benefit_true_negative
        if not positive or not negative:
            raise ValueError("each of the two decisions needs a cost or a benefit; else no model is needed")
        return self

    @property
    def amounts(self) -> dict[str, Amount]:
        """Amounts by their fields."""
        return {
            "false_positive": self.false_positive,
            "false_negative": self.false_negative,
            "benefit_true_positive": self.benefit_true_positive,
            "benefit_true_negative": self.benefit_true_negative,
        }

    @property
    def largest_difference(self) -> float | None:
        """Cost and lost benefit of the more expensive wrong decision; None if an amount differs by row."""
        amounts = self.amounts
        money = {name: amount for name, amount in amounts.items() if not isinstance(amount, str)}
        if len(money) < len(amounts):
            return None
        of_positive = money["false_negative"] + money["benefit_true_positive"]
        return max(of_positive, money["false_positive"] + money["benefit_true_negative"])


class ErrorCost(Cost):
    """Costs of a wrong number, per unit of the error: predicted too high (`over`) or too low (`under`)."""

    kind: Literal["error"] = "error"
    over: Amount
    under: Amount

    @model_validator(mode="after")
    def _can_differ(self) -> Self:
        if not self.over or not self.under:
            raise ValueError(
                "over and under must both be above 0, otherwise an infinite prediction costs least"
            )
        return self

    @property
    def amounts(self) -> dict[str, Amount]:
        """Amounts by their fields."""
        return {"over": self.over, "under": self.under}


class ClassCost(Cost):
    """
    Costs of deciding for a class: `costs[actual][decided]`, by the names of the classes.

    Each pair of different classes needs an amount; the right decision costs nothing unless it is declared.
    The decision is the class with the least expected cost.
    """

    kind: Literal["class"] = "class"
    costs: Mapping[str, Mapping[str, Amount]]

    @property
    def amounts(self) -> dict[str, Amount]:
        """Amounts by `actual/decided`."""
        amounts: dict[str, Amount] = {}
        for actual, decisions in self.costs.items():
            amounts |= {f"{actual}/{decided}": amount for decided, amount in decisions.items()}
        return amounts

    def amount(self, actual: str, decided: str) -> Amount:
        """Return the cost of deciding for a class."""
        return self.costs[actual].get(decided, 0.0)

    @property
    def largest_difference(self) -> float | None:
        """Cost of the most expensive wrong decision; None if an amount differs by row."""
        amounts = tuple(self.amounts.values())
        money = [amount for amount in amounts if not isinstance(amount, str)]
        return max(money) if len(money) == len(amounts) else None

    def check(self, class_names: tuple[str, ...]) -> None:
        """Raise ValueError if a class is missing or unknown, or if one decision never costs anything."""
        super().check(class_names)
        named = set(self.costs).union(*self.costs.values())
        unknown = sorted(named - set(class_names))
        if unknown:
            raise ValueError(f"cost.costs: {', '.join(unknown)} is none of {', '.join(class_names)}")
        declared = self.amounts
        pairs = [f"{actual}/{decided}" for actual, decided in permutations(class_names, 2)]
        missing = [pair for pair in pairs if pair not in declared]
        if missing:
            raise ValueError(f"cost.costs: declare the cost (actual/decided) of {', '.join(missing)}")
        for decided in class_names:
            if not any(self.amount(actual, decided) for actual in class_names):
                raise ValueError(f"cost.costs: deciding for {decided} costs nothing, so no model is needed")


AnyCost = Annotated[DecisionCost | ErrorCost | ClassCost, Field(discriminator="kind")]
