"""Ingestion from a source that a team has written itself."""

from __future__ import annotations

import pytest

from include.declarations import CustomSource
from include.errors import DataError
from tests.include.data.sources import tides
from tests.plugins.airworthy.operators.readings import DAY, NEXT, counts, later, readings


@pytest.fixture
def levels(monkeypatch):
    levels = {}
    monkeypatch.setattr(tides, "LEVELS", levels)
    return levels


@pytest.fixture
def dataset(declare_dataset, connection):
    connection("harbour", conn_type="http", host="tides.example")
    options = {"station": "Dover"}
    source = CustomSource(path=f"{tides.__name__}:Tides", options=options, conn_id="harbour")
    return declare_dataset(readings(source))


def rows(*levels):
    return [{"id": f"r{number}", "level": level} for number, level in enumerate(levels)]


def test_rows_of_a_team_are_extracted_validated_published(dataset, levels, lake, database, ingest):
    timer = later(lambda: levels.update({DAY: [*rows(*[1.5] * 19), {"id": None, "level": 1.5}]}))
    ingest(dataset, f"{DAY}")
    timer.join()
    assert counts(lake) == {"2013-07-01": 19}
    assert counts(lake, "readings_quarantine") == {"2013-07-01": 1}


def test_error_of_a_team_fails_the_extraction(dataset, levels, lake, database, ingest):
    levels[NEXT] = ValueError("no tide")
    with pytest.raises(DataError, match=r"Tides: read\(\) of 2013-07-02 raises ValueError: no tide"):
        ingest(dataset, f"{NEXT}")
    assert counts(lake) == {}
