from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from include.monitoring.figures import jsonable


@dataclass(frozen=True)
class Measured:
    share: float
    moments: tuple[datetime, ...]


def test_everything_becomes_json():
    value = {
        1: Measured(np.float64("nan"), (datetime(2026, 1, 1, tzinfo=UTC),)),
        "array": np.array([1, 2]),
        "day": date(2013, 7, 1),
        "for": timedelta(minutes=1),
    }
    assert jsonable(value) == {
        "1": {"share": None, "moments": ["2026-01-01T00:00:00+00:00"]},
        "array": [1, 2],
        "day": "2013-07-01",
        "for": 60,
    }


@given(
    st.recursive(
        st.none() | st.floats() | st.integers() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
    )
)
def test_no_number_is_beyond_json(value):
    json.dumps(jsonable(value), allow_nan=False)
