from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest

from include.catalog import catalog
from include.cli.governance.tables import print_list
from include.data.lake.delta_tables import Lake
from include.data.lake.partition_columns import DAY as DAY_COLUMN
from include.data.lake.table_statistics import table_statistics
from include.governance.freshness import describe_seconds, read_freshness
from include.governance.inventory import dataset_entry

DAY = date(2013, 1, 1)
SCHEDULED = "arrivals_ingestion/scheduled__2013-01-01T00:00:00+00:00__2013-01-01__x"
BACKFILL = "arrivals_ingestion/backfill__2013-01-01__x"


@pytest.fixture
def lake(tmp_path):
    return Lake(str(tmp_path))


@pytest.fixture
def published(lake):
    def publish(run, day=DAY):
        frame = pd.DataFrame({"flight_id": ["a"], "arr_delay": [1.0], DAY_COLUMN: str(day)})
        lake.publish("arrivals", frame, [day], metadata={"run": run})

    return publish


def freshness(lake, name="arrivals", now=datetime(2013, 1, 2, tzinfo=UTC)):
    return read_freshness(catalog(), lake, name, table_statistics(lake, name), now=now)


def test_partition_that_is_not_over_has_no_age(lake, published):
    published(SCHEDULED)
    entry = freshness(lake, now=datetime(2013, 1, 1, 12, tzinfo=UTC))
    assert entry.describe().startswith("newest 2013-01-01, not over yet, due ")
    assert entry.describe().endswith("; 1 partition, 1 rows")


def test_late_partition_names_due_time_and_lateness(lake, published):
    published(SCHEDULED)
    entry = freshness(lake)
    due = datetime(2013, 1, 2, tzinfo=UTC)
    assert (entry.newest, entry.due_at, entry.overdue) == ("2013-01-01", due, None)
    assert entry.late_s == (entry.published_at - due).total_seconds()
    assert "due 2013-01-02 00:00 UTC" in entry.describe()
    assert entry.lateness.endswith("days late")


def test_partition_in_time_is_not_late(lake, published):
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    published(SCHEDULED, tomorrow)
    entry = freshness(lake, now=datetime.now(UTC))
    assert (entry.late_s, entry.overdue, entry.lateness) == (0.0, None, "in time")


def test_loaded_history_is_neither_late_nor_in_time(lake, published):
    published(BACKFILL)
    entry = freshness(lake)
    assert (entry.late_s, entry.lateness) == (None, "")


def test_next_partition_is_overdue_once_it_is_due(lake, published):
    published(BACKFILL)
    entry = freshness(lake, now=datetime(2013, 1, 3, 5, tzinfo=UTC))
    assert (entry.overdue, entry.overdue_s) == ("2013-01-02", 5 * 3600)
    assert entry.lateness == "2013-01-02 is 5.0 hours overdue"


def test_first_partition_of_an_empty_table_is_overdue(lake):
    assert freshness(lake).describe() == "nothing is published; 2013-01-01 is 0 seconds overdue"
    assert freshness(lake, now=datetime(2013, 1, 1, 23, tzinfo=UTC)).describe() == "nothing is published"


def test_nothing_is_overdue_after_the_last_partition(lake, published):
    published(BACKFILL, catalog().datasets["arrivals"].last_partition)
    assert freshness(lake, now=datetime(2026, 1, 1, tzinfo=UTC)).overdue is None


def test_view_is_overdue_when_it_should_be_online(lake):
    entry = freshness(lake, "flight_features", now=datetime(2013, 1, 1, 7, tzinfo=UTC))
    assert entry.lateness == "2013-01-01 is 60.0 minutes overdue"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(40, "40 seconds"), (150, "2.5 minutes"), (7200, "2.0 hours"), (10**9, "11,574.1 days")],
)
def test_times_are_shown_in_a_unit_that_fits(seconds, text):
    assert describe_seconds(seconds) == text


def test_list_shows_due_time_and_what_is_overdue(lake, published, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    published(BACKFILL)
    entry = dataset_entry(catalog(), lake, "arrivals", now=datetime(2013, 1, 3, 5, tzinfo=UTC))
    print_list("datasets", [entry], as_json=False)
    shown = capsys.readouterr().out
    assert "2013-01-02 00:00" in shown
    assert "2013-01-02 is 5.0 hours overdue" in shown
