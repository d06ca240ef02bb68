"""Frames that wait between two tasks, in real files."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from include.errors import DataError
from include.storage.staging import FOLDER, Staging

RUN = "flights_ingestion/backfill__2013-07-01T00:00:00+00:00"


@pytest.fixture
def staging(place):
    return Staging(place.uri, place.options)


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


def test_a_frame_comes_back_as_it_was(staging, frame):
    pd.testing.assert_frame_equal(staging.read(staging.write(RUN, "extracted", frame)), frame)


def test_an_empty_frame_keeps_its_columns(staging, frame):
    found = staging.read(staging.write(RUN, "extracted", frame.iloc[:0]))
    assert (len(found), [*found.columns]) == (0, [*frame.columns])


def test_the_same_run_and_step_write_the_same_file_again(staging, frame, place):
    first, second = staging.write(RUN, "extracted", frame), staging.write(RUN, "extracted", frame.iloc[:1])
    assert first == second
    assert len(staging.read(first)) == 1
    assert place.paths(FOLDER) == [first]


@pytest.mark.parametrize(("run", "step"), [("other", "extracted"), (RUN, "accepted")])
def test_another_run_or_step_writes_another_file(staging, frame, run, step):
    assert staging.write(RUN, "extracted", frame) != staging.write(run, step, frame)


def test_a_runs_name_cannot_lead_out_of_the_staging_folder(staging, frame, place):
    path = staging.write("../../x", "extracted", frame)
    assert place.paths(FOLDER) == [path]
    assert not {"", ".", ".."} & set(path.split("/"))
    assert len(staging.read(path)) == 2


def test_what_is_gone_names_the_task_to_clear(staging):
    with pytest.raises(DataError, match="clear the task that writes it"):
        staging.read(f"{FOLDER}/some_run/extracted.parquet")


def test_sweeps_what_is_old_and_nothing_else(staging, frame, place):
    path = staging.write(RUN, "extracted", frame)
    place.put("_reports/page.html", b"")
    now = datetime.now(UTC)
    assert staging.sweep(now - timedelta(hours=1)) == 0
    assert len(staging.read(path)) == 2
    assert staging.sweep(now + timedelta(hours=1)) == 1
    assert place.paths("_reports") == ["_reports/page.html"]
    with pytest.raises(DataError):
        staging.read(path)


def test_sweeping_a_lake_where_nothing_was_staged_does_nothing(staging):
    assert staging.sweep(datetime.now(UTC)) == 0
