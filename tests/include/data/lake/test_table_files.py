from __future__ import annotations

from datetime import UTC, date, datetime

import pandas as pd
import pytest

from include.data.lake.partition_columns import DAY as DAY_COLUMN
from include.data.lake.table_files import archive_table, delete_table, list_archives, list_tables
from include.errors import DataError

ON_BOTH_STORES = True

DAY = date(2013, 1, 1)
NOON = datetime(2013, 7, 1, 12, tzinfo=UTC)


@pytest.fixture
def cars(lake, rows):
    """Publish two versions of a table, and another table."""
    for table in ("cars", "cars", "vans"):
        lake.publish(table, rows(days=["2013-01-01"]), [DAY], metadata={})


def test_archived_table_is_read_from_its_archive(lake, cars):
    version = lake.version("cars")
    path = archive_table(lake, "cars", NOON)
    assert path == "_archive/20130701T120000/cars"
    assert list_tables(lake) == ["vans"]
    assert lake.version("cars") is None
    (archive,) = list_archives(lake)
    assert archive.version("cars") == version
    assert len(archive.read("cars")) == 3


def test_archived_name_takes_another_type(lake, cars):
    archive_table(lake, "cars", NOON)
    frame = pd.DataFrame({"id": [1, 2], DAY_COLUMN: "2013-01-01"})
    lake.publish("cars", frame, [DAY], metadata={})
    assert lake.read("cars")["id"].tolist() == [1, 2]


def test_deleted_table_leaves_nothing(lake, cars):
    delete_table(lake, "cars")
    assert list_tables(lake) == ["vans"]
    assert list_archives(lake) == []


def test_missing_table_is_refused(lake):
    with pytest.raises(DataError, match="no table cars"):
        archive_table(lake, "cars", NOON)
    assert list_tables(lake) == []
