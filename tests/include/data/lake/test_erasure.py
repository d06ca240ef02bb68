from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from include.data.lake.commit_log import list_commits
from include.data.lake.erasure import Entity, erase_rows, find_rows, has_column
from include.data.lake.partition_columns import DAY
from include.errors import DataError
from include.storage import filesystem

ON_BOTH_STORES = True

DAYS = [date(2013, 1, 1), date(2013, 1, 2), date(2013, 1, 3)]
ANN = Entity("person", "ann")


@pytest.fixture
def publish(lake):
    """Return a function that publishes people of one day."""

    def run(day, people, table="visits", **columns):
        frame = pd.DataFrame({"person": people, "amount": range(len(people)), **columns, DAY: str(day)})
        return lake.publish(table, frame, [day], metadata={"run": f"visits/{day}", "try": "1"})

    return run


def contents(lake):
    """Return the bytes of all files of a lake, without the compression of Parquet."""
    files = filesystem.open_filesystem(lake.uri, lake.storage_options)
    from pyarrow.fs import FileSelector

    texts = []
    for info in files.get_file_info(FileSelector("visits", recursive=True)):
        if info.is_file:
            with files.open_input_file(info.path) as file:
                texts.append(bytes(file.read()))
    return texts


def test_erased_entity_leaves_no_file_and_no_statistics(lake, publish):
    publish(DAYS[0], ["ann", "bob"])
    publish(DAYS[0], ["ann", "carl"])
    publish(DAYS[1], ["ann"])
    publish(DAYS[2], ["bob", "dora"])
    plan = find_rows(lake, "visits", ANN)
    assert (plan.rows, plan.partitions, len(plan.files)) == (2, ("2013-01-01", "2013-01-02"), 3)
    assert any(b"ann" in content for content in contents(lake))
    erase_rows(lake, "visits", ANN)
    assert sorted(lake.read("visits")["person"]) == ["bob", "carl", "dora"]
    assert not any(b"ann" in content for content in contents(lake))
    assert find_rows(lake, "visits", ANN) is None


def test_versions_without_the_entity_stay_readable(lake, publish):
    without = publish(DAYS[2], ["bob", "dora"])
    containing = publish(DAYS[0], ["ann", "bob"])
    erase_rows(lake, "visits", ANN)
    assert sorted(lake.read("visits", version=without)["person"]) == ["bob", "dora"]
    assert len(lake.read("visits", [DAYS[2]], version=containing)) == 2
    with pytest.raises(DataError, match="files were deleted"):
        lake.read("visits", [DAYS[0]], version=containing)


def test_erasure_keeps_other_columns_and_publications(lake, publish):
    publish(DAYS[0], ["ann", "bob"], seen=pd.to_datetime(["2013-01-01T10:00Z", None], utc=True))
    before = [commit.run for commit in list_commits(lake, "visits")]
    erase_rows(lake, "visits", ANN)
    rows = lake.read("visits")
    assert rows[["person", "amount"]].values.tolist() == [["bob", 1]]
    assert str(rows["seen"].dtype) == "datetime64[us, UTC]"
    assert "visits/2013-01-01" in before


def test_raw_text_of_an_unread_row_is_erased(lake, publish):
    texts = ["1;ann;2013", "1;joann;2013", None, '{"person": "\\u0061nn"', '{"x": "\\tann"']
    publish(DAYS[0], [None, None, "bob", None, None], "visits_quarantine", _malformed=texts)
    erase_rows(lake, "visits_quarantine", ANN)
    assert lake.read("visits_quarantine")["_malformed"].tolist() == ["1;joann;2013", None]


def test_column_with_the_name_of_a_partition_is_no_partition(lake, publish):
    publish(DAYS[0], ["ann", "bob"], hour=[7, 8])
    erase_rows(lake, "visits", ANN)
    assert lake.read("visits")["hour"].tolist() == [8]


def test_number_is_compared_as_a_number(lake, publish):
    publish(DAYS[0], ["ann", "bob"])
    assert find_rows(lake, "visits", Entity("amount", "1")).rows == 1
    assert find_rows(lake, "visits", Entity("amount", "one")) is None


def test_table_without_the_column_has_no_rows(lake, publish):
    publish(DAYS[0], ["ann"])
    assert find_rows(lake, "visits", Entity("email", "ann")) is None
    assert has_column(lake, "visits", "person")
    assert not has_column(lake, "nothing", "person")
