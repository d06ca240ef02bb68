from __future__ import annotations

import gzip
import io
import json
from datetime import UTC, date, datetime

import pandas as pd
import pyarrow.parquet as pq
import pytest

from include.annotation.landed_labels import LabelRow, LandingFolder, plan_labels, write_files
from include.data.sources.files import Landing
from include.declarations import Column, DatabaseSource, Dataset, FileSource
from include.errors import DataError, DeclarationError

DAY = date(2013, 7, 1)
COLUMNS = (
    Column(name="id", dtype="integer"),
    Column(name="at", dtype="timestamp", nullable=True),
    Column(name="note", dtype="string", nullable=True),
    Column(name="late", dtype="number", nullable=True),
)


def dataset(columns=COLUMNS, **source):
    path = {"path": "outcomes/{partition}.csv"} | source
    return Dataset(
        name="outcomes", owner="ann", description="Outcomes.", columns=columns, key=("id",),
        source=FileSource(**path), first_partition=DAY,
    )  # fmt: skip


def label(value, number=1, column="late", partition=DAY):
    return LabelRow(partition, {"id": number}, column, value)


@pytest.fixture
def landing(tmp_path):
    return LandingFolder(str(tmp_path / "landing"))


@pytest.fixture
def land(tmp_path):
    def write(content, path="outcomes/2013-07-01.csv"):
        file = tmp_path / "landing" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    return write


def write(declared, landing, *rows):
    planned = plan_labels(declared, rows, landing)
    write_files(planned, landing)
    return planned


def ingested(declared, landing, partition=DAY):
    table = Landing(landing.uri).read(declared, [partition]).table
    return table.select([column.name for column in declared.columns]).to_pylist()


def test_a_label_is_replaced_and_all_else_stays(landing, land):
    file = land('id,extra,at,note,late\n1,x,2013-07-01T05:00:00Z,"a, b",3.5\n2,,,,4\nbroken\n')
    planned = write(dataset(), landing, label(7.25))
    assert [change.before for change in planned.changes] == [3.5]
    assert file.read_text() == (
        'id,extra,at,note,late\n1,x,2013-07-01T05:00:00Z,"a, b",7.25\n2,,,,4\nbroken\n'
    )


def test_a_missing_row_and_a_missing_file_are_made(landing):
    write(dataset(), landing, label(7.0), label(8.0, number=2))
    assert ingested(dataset(), landing) == [
        {"id": 1, "at": None, "note": None, "late": 7.0},
        {"id": 2, "at": None, "note": None, "late": 8.0},
    ]


def test_the_same_label_again_changes_no_file(landing, land):
    file = land("id,at,note,late\r\n1,,,7.0\r\n")
    planned = write(dataset(), landing, label(7.0))
    assert (planned.changes, dict(planned.contents)) == ((), {})
    assert file.read_bytes().endswith(b"7.0\r\n")


def test_the_declared_dialect_is_kept(landing, land):
    declared = dataset(
        path="outcomes/{partition}.csv", delimiter=";", decimal=",", nulls=("NA",), rename={"nr": "id"},
        time_format="%d.%m.%Y %H:%M", time_zone="Europe/Paris",
    )  # fmt: skip
    file = land("nr;at;note;late\n1;01.07.2013 05:00;NA;NA\n")
    planned = write(declared, landing, label(-2.5), label(datetime(2013, 7, 1, 10, tzinfo=UTC), 2, "at"))
    assert [change.before for change in planned.changes] == [None, None]
    assert file.read_text().splitlines()[1:] == ["1;01.07.2013 05:00;NA;-2,5", "2;01.07.2013 12:00;;"]
    assert ingested(declared, landing)[1]["at"] == pd.Timestamp("2013-07-01T10:00Z")


@pytest.mark.parametrize("suffix", ["jsonl", "csv.gz", "parquet"])
def test_each_format_is_read_and_written(landing, land, suffix):
    path = f"outcomes/{{partition}}.{suffix}"
    declared = dataset(path=path, format=suffix.removesuffix(".gz"))
    name = path.format(partition=DAY)
    if suffix == "jsonl":
        land(json.dumps({"id": 1, "at": None, "note": None, "late": 3.5, "other": [1]}) + "\n", name)
    elif suffix == "csv.gz":
        land(gzip.compress(b"id,at,note,late\n1,,,3.5\n"), name)
    else:
        write(declared, landing, label(3.5))
    write(declared, landing, label(7.0), label(8.0, number=2))
    rows = ingested(declared, landing)
    assert [(row["id"], row["late"]) for row in rows] == [(1, 7.0), (2, 8.0)]


def test_other_columns_of_parquet_stay(landing, land):
    stream = io.BytesIO()
    moments = pd.to_datetime(["2013-07-01T05:00Z"])
    frame = pd.DataFrame({"id": [1], "at": moments, "note": ["n"], "late": [1.0], "other": [5]})
    frame.to_parquet(stream, index=False)
    declared = dataset(path="outcomes/{partition}.parquet", format="parquet")
    file = land(stream.getvalue(), "outcomes/2013-07-01.parquet")
    write(declared, landing, label(2.0))
    [row] = pq.read_table(file).to_pylist()
    assert row == {"id": 1, "at": moments[0], "note": "n", "late": 2.0, "other": 5}


def test_rows_of_one_file_get_their_partition(landing):
    declared = dataset(path="outcomes.csv", split_by="at")
    write(declared, landing, label(7.0))
    assert ingested(declared, landing)[0]["at"] == pd.Timestamp("2013-07-01T00:00Z")


def test_a_new_row_that_lacks_a_needed_value_is_refused(landing):
    declared = dataset(columns=(*COLUMNS, Column(name="place", dtype="string")))
    with pytest.raises(DataError, match="no row of id 1 in partition 2013-07-01, and a new one needs place"):
        plan_labels(declared, [label(7.0)], landing)


def test_a_repeated_key_is_refused(landing, land):
    land("id,at,note,late\n1,,,1\n1,,,2\n")
    with pytest.raises(DataError, match="outcomes: id 1 has 2 rows"):
        plan_labels(dataset(), [label(7.0)], landing)


def test_a_file_that_cannot_be_read_is_named(landing, land):
    land(b"id,at,note,late\n\xff,,,1\n")
    with pytest.raises(DataError, match=r"outcomes/2013-07-01.csv cannot be read"):
        plan_labels(dataset(), [label(7.0)], landing)
    land("id,note\n1,x\n")
    with pytest.raises(DataError, match="lacks at, late"):
        plan_labels(dataset(), [label(7.0)], landing)


def test_a_dataset_of_a_database_has_no_files(landing):
    query = "SELECT 1 WHERE at >= :start AND at < :end"
    declared = dataset().model_copy(update={"source": DatabaseSource(conn_id="db", query=query)})
    with pytest.raises(DeclarationError, match="comes from database"):
        plan_labels(declared, [label(7.0)], landing)
