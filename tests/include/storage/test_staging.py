from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pyarrow as pa
import pytest

from include.errors import DataError
from include.storage.staging import FOLDER, Staging

ON_BOTH_STORES = True

RUN = "flights_ingestion/backfill__2013-07-01T00:00:00+00:00"


@pytest.fixture
def staging(storage_root):
    return Staging(storage_root.uri, storage_root.options)


@pytest.fixture
def frame():
    return pd.DataFrame(
        {
            "id": ["a", None],
            "speed": [1.5, None],
            "count": pd.Series([1, 2], dtype="int64"),
            "at": pd.to_datetime(["2013-07-01T10:00Z", None], utc=True).as_unit("us"),
        }
    )


def test_frame_is_read_as_it_was_written(staging, frame):
    pd.testing.assert_frame_equal(staging.read(staging.write(RUN, "extracted", frame)), frame)


def test_empty_frame_keeps_its_columns(staging, frame):
    empty = staging.read(staging.write(RUN, "extracted", frame.iloc[:0]))
    assert len(empty) == 0
    assert list(empty.columns) == list(frame.columns)


def test_same_run_and_step_replace_the_file(staging, frame, storage_root):
    path = staging.write(RUN, "extracted", frame)
    assert staging.write(RUN, "extracted", frame.iloc[:1]) == path
    assert len(staging.read(path)) == 1
    assert storage_root.files(FOLDER) == [path]


@pytest.mark.parametrize(("run", "step"), [("other", "extracted"), (RUN, "accepted")])
def test_other_run_or_step_writes_another_file(staging, frame, run, step):
    assert staging.write(RUN, "extracted", frame) != staging.write(run, step, frame)


def test_run_name_stays_in_the_staging_folder(staging, frame, storage_root):
    path = staging.write("../../x", "extracted", frame)
    assert storage_root.files(FOLDER) == [path]
    assert not {"", ".", ".."} & set(path.split("/"))
    assert len(staging.read(path)) == 2


def test_missing_frame_names_the_task_to_clear(staging):
    with pytest.raises(DataError, match="clear the task that writes it"):
        staging.read(f"{FOLDER}/some_run/extracted.parquet")


def test_sweep_deletes_old_frames_only(staging, frame, storage_root):
    path = staging.write(RUN, "extracted", frame)
    storage_root.write("_reports/page.html", b"")
    now = datetime.now(UTC)
    assert staging.sweep(now - timedelta(hours=1)) == 0
    assert len(staging.read(path)) == 2
    assert staging.sweep(now + timedelta(hours=1)) == 1
    assert storage_root.files("_reports") == ["_reports/page.html"]
    with pytest.raises(DataError):
        staging.read(path)


def test_sweep_of_an_empty_lake_deletes_nothing(staging):
    assert staging.sweep(datetime.now(UTC)) == 0


def test_table_is_read_as_it_was_written(staging):
    values = [datetime(9999, 12, 31, tzinfo=UTC), None]
    table = pa.table({"whole": [2**63 - 1, None], "at": pa.array(values, pa.timestamp("us", "UTC"))})
    assert staging.read_table(staging.write_table(RUN, "extracted", table)).equals(table)
