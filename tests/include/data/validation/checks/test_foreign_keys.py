from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from include.data.validation.batch import Batch
from include.data.validation.checks.foreign_keys import ForeignKeyCheck
from include.data.validation.runner import GateChecks, PartitionRules, validate_partition
from include.declarations import Column, ForeignKey

ONE = date(2013, 1, 1)
TWO = date(2013, 1, 2)
SHOPS = pd.DataFrame(
    {
        "code": pd.array([1, 2**53 + 1, 3], dtype="int64"),
        "city": ["Rome", "Oslo", "Rome"],
        "_airworthy_day": ["2013-01-01", "2013-01-01", "2013-01-02"],
    }
)
KEY = ForeignKey(columns=("shop",), dataset="shops", references=("code",))


@pytest.fixture
def check(lake):
    """Return a function that checks rows against two days of shops."""
    lake.publish("shops", SHOPS, [ONE, TWO], metadata={})

    def run(foreign_key=KEY, **columns):
        frame = pd.DataFrame(columns | {"_airworthy_day": "2013-01-02"})
        return ForeignKeyCheck(foreign_key, lake).run(Batch.of(frame, [TWO]))

    return run


def test_rows_with_a_match_or_a_null_pass(check):
    result = check(shop=pd.array([3, 1, None, 2**53 + 1], dtype="Int64"))
    assert (result.success, result.checked_rows) == (True, 3)


def test_rows_without_a_match_are_numbered(check):
    result = check(shop=[3, 9, 2**53, 1])
    assert not result.success
    assert result.row_numbers.tolist() == [1, 2]
    assert result.examples == ("9", str(2**53))
    assert result.message == "shop has no match in shops (code)"


def test_only_the_newest_partitions_are_searched(check):
    newest = KEY.model_copy(update={"partitions": 1})
    assert check(newest, shop=[1, 3]).examples == ("1",)


def test_columns_are_compared_together(check):
    both = ForeignKey(columns=("code", "city"), dataset="shops")
    result = check(both, code=[1, 1, 3], city=["Rome", "Oslo", None])
    assert result.examples == ("1, Oslo",)


def test_missing_column_or_no_rows_are_not_checked(check):
    assert check(other=[1]) is None
    assert check(shop=pd.array([], dtype="int64")) is None


def test_unpublished_dataset_blocks_and_names_the_remedy(lake):
    result = ForeignKeyCheck(KEY, lake).run(
        Batch.of(pd.DataFrame({"shop": [1], "_airworthy_day": str(TWO)}), [TWO])
    )
    assert result.blocking
    assert "no partition of shops is published. Run shops_ingestion first" in result.message


def test_critical_miss_rejects_its_row_alone(check, lake):
    check(shop=[1])
    columns = (Column(name="id", dtype="string"), Column(name="shop", dtype="integer"))
    rules = PartitionRules(columns, ("id",), (1, 9), quarantine_limit=0.5)
    frame = pd.DataFrame({"id": ["a", "b"], "shop": [1, 9], "_airworthy_day": str(TWO)})
    report = validate_partition(Batch.of(frame, [TWO]), rules, GateChecks(rows=[ForeignKeyCheck(KEY, lake)]))
    assert report.passed
    assert list(report.accepted["id"]) == ["a"]
    assert list(report.quarantined["_reasons"]) == ["shop has no match in shops (code)"]
