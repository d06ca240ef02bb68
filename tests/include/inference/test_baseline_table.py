from __future__ import annotations

import json

import pytest

from include.inference.baseline_table import BaselineTable

TABLE = BaselineTable(("hour", "carrier"), 0.5, {(5, "AA"): 0.1, (6, "007"): 0.2})


@pytest.fixture
def stored():
    return BaselineTable.from_json(json.loads(json.dumps(TABLE.as_json())))


@pytest.mark.parametrize("hour", [5, 5.0, "5"])
def test_slot_is_found_by_number_or_text(stored, hour):
    assert stored.look_up({"hour": hour, "carrier": "AA", "other": 1}) == 0.1


@pytest.mark.parametrize(
    "row", [{}, {"hour": 5}, {"hour": None, "carrier": "AA"}, {"hour": [5], "carrier": {}}]
)
def test_unknown_slot_gets_the_overall_prediction(stored, row):
    assert stored.look_up(row) == 0.5
