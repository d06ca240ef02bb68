from __future__ import annotations

import pandas as pd
import pytest

from include.data.lake.dtypes import to_table
from include.errors import DataError

UTC = pd.Timestamp("2013-01-01T10:00Z")


@pytest.mark.parametrize(
    "values",
    [pd.Series([UTC + pd.Timedelta(1, "ns")]), pd.Series([2**63], dtype="uint64")],
    ids=["ns", "uint"],
)
def test_value_that_would_change_is_refused(values):
    with pytest.raises(DataError, match="Column seen cannot be stored"):
        to_table(pd.DataFrame({"seen": values}), None)


def test_moment_in_microseconds_is_stored():
    table = to_table(pd.DataFrame({"seen": pd.Series([UTC + pd.Timedelta(1, "us")])}), None)
    assert str(table.schema.field("seen").type) == "timestamp[us, tz=UTC]"
