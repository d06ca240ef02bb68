from __future__ import annotations

from datetime import date
from types import SimpleNamespace

import pandas as pd
import pyarrow as pa
import pytest

from include.data.sources import base, custom
from include.data.sources.custom import TeamSource
from include.declarations import Column, CustomSource, Dataset
from include.errors import DataError, ServiceUnavailable
from tests.include.data.sources import tides
from tests.include.data.sources.extracts import frame_of

DAYS = [date(2013, 7, 1), date(2013, 7, 2)]
SOURCE = CustomSource(path=f"{tides.__name__}:Tides", options={"station": "Dover"})


@pytest.fixture(autouse=True)
def levels(monkeypatch):
    levels = {}
    monkeypatch.setattr(tides, "LEVELS", levels)
    return levels


def dataset(source=SOURCE):
    return Dataset(
        name="levels", owner="test", description="Tides.", key=("id",), first_partition=DAYS[0],
        source=source, columns=(Column(name="id", dtype="string"), Column(name="level", dtype="number")),
    )  # fmt: skip


@pytest.mark.parametrize("kind", tides.KINDS)
def test_rows_of_any_kind_are_read(levels, kind):
    rows = tides.KINDS[kind]
    levels[DAYS[0]] = rows() if callable(rows) else rows
    levels[DAYS[1]] = []
    extract = TeamSource.create(SOURCE).read(dataset(), DAYS)
    assert list(frame_of(extract)["id"]) == ["a", "b"]
    assert frame_of(extract)["level"].isna().tolist() == [False, True]
    assert extract.remarks == ()


def test_mappings_are_read_when_their_batch_is_used(levels, monkeypatch):
    monkeypatch.setattr(base, "READ_AHEAD_BYTES", 0)
    monkeypatch.setattr(custom, "BATCH_ROWS", 2)
    read = []

    def rows():
        for number in range(6):
            read.append(number)
            yield {"id": str(number), "level": 1.0}

    levels[DAYS[0]] = rows()
    tables = iter(TeamSource.create(SOURCE).read(dataset(), DAYS[:1]).tables)
    sizes = [next(tables).num_rows, next(tables).num_rows]
    assert (sizes, read) == ([0, 2], [0, 1])
    assert (sum(table.num_rows for table in tables), read) == (4, list(range(6)))


def test_name_that_later_mappings_have_is_not_lacking(levels, monkeypatch):
    monkeypatch.setattr(custom, "BATCH_ROWS", 1)
    levels[DAYS[0]] = [{"id": "a"}, {"level": 2.0, "id": "b", "depth": 3}, {"id": "c"}]
    extract = TeamSource.create(SOURCE).read(dataset(), DAYS[:1])
    assert frame_of(extract)["id"].tolist() == ["a", "b", "c"]
    assert frame_of(extract)["level"].isna().tolist() == [True, False, True]
    assert extract.remarks == (f"{SOURCE.path} returns columns that are not declared: depth",)


def test_batch_without_a_column_is_refused(levels):
    levels[DAYS[0]] = iter([pa.table({"id": ["a"], "level": [1.0]}), pa.table({"id": ["b"]})])
    with pytest.raises(DataError, match=r"2013-07-01 has no level; .* returns id"):
        TeamSource.create(SOURCE).read(dataset(), DAYS[:1])


def test_partitions_without_rows_keep_their_columns(levels):
    levels[DAYS[0]] = []
    extract = TeamSource.create(SOURCE).read(dataset(), DAYS[:1])
    assert {"id", "level"} <= set(frame_of(extract).columns)
    assert len(frame_of(extract)) == 0


def test_missing_partitions_are_those_of_the_class(levels):
    levels[DAYS[0]] = []
    assert TeamSource.create(SOURCE).missing(dataset(), DAYS) == DAYS[1:]


def test_class_gets_its_options_and_its_connection():
    declared = SOURCE.model_copy(update={"conn_id": "harbour"})
    source = TeamSource.create(declared, SimpleNamespace(host="tides.example"))
    assert source.location(dataset(declared), DAYS[0]) == "tides.example/Dover/levels/2013-07-01"


def test_undeclared_column_is_remarked_and_a_missing_one_refused(levels):
    levels[DAYS[0]] = [{"id": "a", "level": 1.0, "depth": 3}]
    levels[DAYS[1]] = [{"id": "a"}]
    source = TeamSource.create(SOURCE)
    assert source.read(dataset(), DAYS[:1]).remarks == (
        f"{SOURCE.path} returns columns that are not declared: depth",
    )
    with pytest.raises(DataError, match=r"nowhere/Dover/levels/2013-07-02 has no level; .* returns id"):
        source.read(dataset(), DAYS[1:])


@pytest.mark.parametrize(
    ("error", "expected", "message"),
    [
        (
            KeyError("tide"),
            DataError,
            r"Tides: read\(\) of 2013-07-01 raises KeyError: 'tide'. Correct",
        ),
        (FileNotFoundError("x"), DataError, "raises FileNotFoundError"),
        (ConnectionResetError("gone"), ServiceUnavailable, "was cut short: ConnectionResetError: gone"),
        (tides.OUTAGE, ServiceUnavailable, "^closed on Sundays$"),
    ],
    ids=["error", "no file", "connection", "own outage"],
)
def test_error_of_the_class_is_a_decision_or_an_accident(levels, error, expected, message):
    levels[DAYS[0]] = error
    with pytest.raises(expected, match=message):
        TeamSource.create(SOURCE).read(dataset(), DAYS[:1])


def test_class_that_cannot_be_created_is_named():
    with pytest.raises(DataError, match="Tides: creating it raises TypeError"):
        TeamSource.create(SOURCE.model_copy(update={"options": {}}))


def test_column_that_is_there_twice_is_refused(levels):
    levels[DAYS[0]] = pd.DataFrame([["a", "b", 1.0]], columns=["id", "id", "level"])
    with pytest.raises(DataError, match=r"has id more than once. Correct read\(\) of .*tides:Tides"):
        _ = TeamSource.create(SOURCE).read(dataset(), DAYS[:1]).table
