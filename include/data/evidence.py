"""The record of what every quality gate found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import insert

from include.schema import gate_result

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from include.data.quality import Report


def record(engine: Engine, subject: str, run: str, partition: str, report: Report) -> None:
    """Write down what `run` found in a partition of `subject`, whether it passed or not."""
    values = {
        "subject": subject,
        "run": run,
        "partition": partition,
        "passed": report.passed,
        "rows": report.rows,
        "quarantined": len(report.quarantined),
        "results": report.as_json()["results"],
    }
    with engine.begin() as connection:
        connection.execute(insert(gate_result).values(values))
