from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from include.monitoring.quality.worst_slices import find_worst_slices
from include.use_cases.flight_delay import USE_CASE

ROWS = 1_200


@pytest.fixture
def rows():
    random = np.random.default_rng(0)
    return pd.DataFrame({"origin": random.choice(["EWR", "JFK", "LGA"], ROWS)})


def worst(rows, is_wrong):
    random = np.random.default_rng(1)
    predictions = np.where(random.random(ROWS) < 0.5, 0.9, 0.1)
    target = (random.random(ROWS) < predictions).astype(np.float64)
    target = np.where(is_wrong, 1 - np.round(predictions), target)
    return find_worst_slices(USE_CASE, target, predictions, rows=rows, trained=rows)


def test_worst_slice_has_its_interval(rows):
    (figures,) = worst(rows, rows["origin"] == "JFK")
    assert (figures["by"], figures["slice"], figures["metric"]) == ("origin", "JFK", "log_loss")
    assert figures["rows"] == (rows["origin"] == "JFK").sum()
    assert figures["interval"][0] <= figures["value"] <= figures["interval"][1]
    assert figures["is_worse"]


def test_slices_alike_have_a_worst_one_that_is_not_worse(rows):
    (figures,) = worst(rows, np.zeros(ROWS, dtype=bool))
    assert not figures["is_worse"]


def test_rows_without_the_column_have_no_slices(rows):
    assert worst(rows.drop(columns="origin"), np.zeros(ROWS, dtype=bool)) == []
