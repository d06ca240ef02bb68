"""The table `gate_result`: one row for each run of a gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import insert

from include.database.tables import gate_result

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from include.data.validation.results import ValidationResult


def record_gate_result(
    engine: Engine, subject: str, run: str, partition: str, validation: ValidationResult
) -> None:
    """
    Insert the results of a gate, whether it passed or not.

    Parameters
    ----------
    subject : str
        Dataset, feature view, or task of a user's DAG.
    run : str
        DAG run and try.
    partition : str
        Key of the validated partitions.
    """
    values = {
        "subject": subject,
        "run": run,
        "partition": partition,
        "passed": validation.passed,
        "rows": validation.rows,
        "quarantined": validation.rejected,
        "results": validation.as_json()["results"],
    }
    with engine.begin() as connection:
        connection.execute(insert(gate_result).values(values))
