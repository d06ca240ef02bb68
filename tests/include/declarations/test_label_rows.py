from __future__ import annotations

import pytest

from include.catalog import catalog
from include.declarations.labels import check_label_rows
from include.errors import DeclarationError

LABEL = catalog().use_cases["flight_delay"].label
ARRIVALS = catalog().datasets["arrivals"]
DAILY = catalog().feature_views["flight_features"]
HOURLY = DAILY.model_copy(update={"granularity": "hour"})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"granularity": "hour"}, "arrivals, which comes by the hour with the key flight_id, may have"),
        (
            {"key": ("flight_id", "gate")},
            "arrivals, which comes by the day with the key flight_id, gate, may",
        ),
    ],
)
def test_hourly_rows_need_the_time_of_their_label(changes, words):
    arrivals = ARRIVALS.model_copy(update=changes)
    with pytest.raises(DeclarationError, match="rows of flight_features come by the hour") as error:
        check_label_rows(LABEL, HOURLY, arrivals)
    assert words in str(error.value)
    assert "declare label.time, the column of arrivals with the time of the event" in str(error.value)
    check_label_rows(LABEL.model_copy(update={"time": "landed_at"}), HOURLY, arrivals)
    check_label_rows(LABEL, DAILY, arrivals)


def test_one_label_per_entity_and_day_needs_no_time():
    check_label_rows(LABEL, HOURLY, ARRIVALS)
