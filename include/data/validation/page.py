"""The page of a validation: its statistics and every result as HTML."""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from include.data.validation.sentences import full_message, json_value

if TYPE_CHECKING:
    from jinja2 import Template

    from include.data.validation.results import CheckResult, ValidationResult

TEMPLATE = "quality_page.html.j2"


def render_quality_page(validation: ValidationResult, subject: str, partitions: str = "") -> str:
    """Return the page of a validation of `subject`'s `partitions`; every value of the data is escaped."""
    return _template().render(
        subject=subject,
        partitions=partitions,
        validation=validation,
        statistics=_statistics(validation),
        rows=[_table_row(result) for result in _by_column(validation.results)],
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("include.data.validation", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(TEMPLATE)


def _statistics(validation: ValidationResult) -> dict[str, Any]:
    evaluated = len(validation.results)
    successful = sum(result.success for result in validation.results)
    return {
        "evaluated": evaluated,
        "successful": successful,
        "unsuccessful": evaluated - successful,
        "success_percent": f"{successful / evaluated:.2%}" if evaluated else "",
    }


def _by_column(results: tuple[CheckResult, ...]) -> list[CheckResult]:
    """Return the results of a column one after the other, the columns in the order of their first result."""
    columns = list(dict.fromkeys(result.column for result in results))
    return sorted(results, key=lambda result: columns.index(result.column))


def _table_row(result: CheckResult) -> dict[str, Any]:
    return {
        "status": "passed" if result.success else "failed",
        "column": result.column,
        "expectation": result.expectation,
        "limits": ", ".join(f"{name}={json_value(value)}" for name, value in _limits(result)),
        "severity": result.severity,
        "blocking": result.blocking,
        "failed": _failed_rows(result),
        "examples": ", ".join(str(json_value(example)) for example in result.examples),
        "observed": "" if result.observed is None else json_value(result.observed),
        "message": full_message(result),
    }


def _limits(result: CheckResult) -> list[tuple[str, Any]]:
    """Return the parameters but bounds that stand for none: the largest finite numbers."""
    return [
        (name, value)
        for name, value in result.parameters.items()
        if not (isinstance(value, float) and abs(value) >= sys.float_info.max)
    ]


def _failed_rows(result: CheckResult) -> str:
    """Return the number of failed rows, with their share if the rows were counted."""
    if not result.checked_rows:
        return f"{result.failed_rows:,}"
    share = result.failed_rows / result.checked_rows
    return f"{result.failed_rows:,} of {result.checked_rows:,} ({share:.2%})"
