"""The record of what every quality gate found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import insert

from include.database.tables import gate_result

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from include.data.validation.results import ValidationResult


def record_gate_result(
    engine: Engine, subject: str, run: str, partition: str, found: ValidationResult
) -> None:
    """Write down what `run` found in a partition of `subject`, whether it passed or not."""
    values = {
        "subject": subject,
        "run": run,
        "partition": partition,
        "passed": found.passed,
        "rows": found.rows,
        "quarantined": found.refused,
        "results": found.as_json()["results"],
    }
    with engine.begin() as connection:
        connection.execute(insert(gate_result).values(values))
