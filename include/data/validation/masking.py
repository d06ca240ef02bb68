"""Masking of personal values in the results of checks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from include.data.reading.table import MALFORMED
from include.declarations.data.columns import personal_names
from include.pseudonyms import MASK

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from include.data.validation.results import CheckResult
    from include.declarations import Column


def mask_results(results: Sequence[CheckResult], columns: Sequence[Column]) -> list[CheckResult]:
    """
    Return the results with `***` for every value of a personal column.

    A result that names no column, or is about raw lines, may show any column: it is masked if there is a
    personal column at all.
    """
    personal = personal_names(columns)
    return [_masked(result) if _may_show(result, personal) else result for result in results]


def _may_show(result: CheckResult, personal: Collection[str]) -> bool:
    named = set(result.column.split(", "))
    return bool(personal) and (named <= {"", MALFORMED} or not named.isdisjoint(personal))


def _masked(result: CheckResult) -> CheckResult:
    observed = result.observed
    is_figure = observed is None or isinstance(observed, int | float)
    message = result.message
    if result.error:
        # The error of a library may quote a value.
        message = "could not be checked"
    return replace(
        result,
        examples=(MASK,) * len(result.examples),
        parameters=_masked_parameters(result.parameters),
        observed=observed if is_figure else MASK,
        message=message,
        error=MASK if result.error else "",
    )


def _masked_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: MASK if name == "value_set" else value for name, value in parameters.items()}
