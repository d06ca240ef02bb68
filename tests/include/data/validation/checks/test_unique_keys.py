from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from include.data.validation.batch import Batch
from include.data.validation.checks import unique_keys
from include.data.validation.checks.unique_keys import UniqueKeyCheck
from include.data.validation.statistics import AcceptedStatistics

ONE = date(2013, 1, 1)
TWO = date(2013, 1, 2)


def batch(days, **columns):
    return Batch.of(pd.DataFrame(columns | {"_airworthy_day": days}), [ONE, TWO])


def check(key, *batches):
    unique = UniqueKeyCheck(key)
    for part in batches:
        unique.add(part)
    return unique.result(AcceptedStatistics.of(batches))


def test_key_twice_in_a_partition_blocks():
    result = check(("id", "n"), batch([str(ONE), str(ONE), str(TWO)], id=["a", "a", "a"], n=[1, 1, 1]))
    assert (result.success, result.blocking, result.failed_rows) == (False, True, 2)
    assert result.examples == ("a, 1", "a, 1")
    assert result.column == "_airworthy_day, id, n"
    assert result.message == "the key (id, n) is there more than once"


def test_key_in_two_batches_is_found():
    result = check(("id",), batch([str(ONE)], id=["a"]), batch([str(ONE), str(ONE)], id=["b", "a"]))
    assert (result.failed_rows, result.checked_rows, result.examples) == (2, 3, ("a", "a"))


def test_key_on_two_days_and_null_keys_pass():
    assert check(("id",), batch([str(ONE), str(TWO), str(TWO), str(TWO)], id=["a", "a", None, None])).success


def test_large_integers_are_compared_exactly():
    large = pd.array([2**53, 2**53 + 1, None], dtype="Int64")
    assert check(("id",), batch([str(ONE)] * 3, id=large)).success


def test_equal_hashes_of_other_keys_pass(monkeypatch):
    monkeypatch.setattr(unique_keys, "_hash_rows", lambda table: np.zeros(table.num_rows, dtype=np.uint64))
    monkeypatch.setattr(unique_keys, "SPOOL_BYTES", 1)
    assert check(("id",), batch([str(ONE)] * 2, id=["a", "b"])).success
    assert not check(("id",), batch([str(ONE)] * 2, id=["a", "a"])).success


@pytest.mark.parametrize("rows", [batch([]), batch([], id=[]), batch([str(ONE)], n=[1])])
def test_check_without_rows_or_key_does_not_apply(rows):
    assert check(("id",), rows) is None
