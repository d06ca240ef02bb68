"""Cars, their ingestion, their queue of rejected rows, and its entries in the ledger."""

from __future__ import annotations

import pandas as pd
import pytest
from sqlalchemy import select

from include.data.quality_gate import run_quality_gate
from include.data.quarantine.queue import Quarantine
from include.database.tables import ledger
from tests.include.data.quarantine.cars import ONE, TWO, cars


@pytest.fixture
def frame(rows):
    """Ten cars on each of two days; two of the first day and one of the second are too fast."""
    made = rows(10).assign(doors=pd.array([4, None] * 10, dtype="Int64"), seen=None)
    made.loc[[2, 3, 12], "speed"] = [300.0, 301.0, 302.0]
    made.loc[2, "seen"] = pd.Timestamp("2013-01-01T10:00Z")
    return made


@pytest.fixture
def ingest(lake, database):
    """Return a function that validates rows and publishes the accepted ones."""

    def run(frame, declared=None, run="cars_ingestion/first/1", days=(ONE, TWO)):
        report = run_quality_gate(declared or cars(), frame, list(days), lake=lake, engine=database, run=run)
        if report.passed:
            lake.publish("cars", report.accepted, days, metadata={})
        return report

    return run


@pytest.fixture
def queue(lake, database):
    return lambda declared=None: Quarantine(declared or cars(), lake, database)


@pytest.fixture
def entries(database):
    def read():
        with database.connect() as connection:
            query = select(ledger).where(ledger.c.event == "quarantine").order_by(ledger.c.id)
            return [dict(row) for row in connection.execute(query).mappings()]

    return read
