from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from include.catalog import catalog
from include.data.features.readiness import dependent_days
from include.partitions import hours_of

VIEW = catalog().feature_views["flight_features"]
ONE, TWO, THREE, FOUR = (date(2013, 1, day) for day in (1, 2, 3, 4))
LAST_WEATHER = date(2013, 12, 30)


@pytest.fixture
def landed(lake):
    """Publish these days of a dataset, one row each."""

    def publish(dataset, *days):
        rows = pd.DataFrame({"id": ["x"] * len(days), "day": [str(day) for day in days]})
        lake.publish(dataset, rows, days, metadata={})
        return dependent_days(VIEW, dataset, days, lake, datasets=catalog().datasets)

    return publish


def test_the_last_input_of_a_day_makes_it_ready(landed):
    first = landed("flights", ONE)
    assert (first.ready, first.waiting) == ([], {ONE: ["weather 2013-01-01"]})
    assert landed("weather", ONE).ready == [ONE]


def test_republished_day_is_ready_again_without_its_siblings(landed):
    landed("flights", ONE)
    landed("weather", ONE)
    assert landed("flights", ONE).ready == [ONE]


def test_a_day_waits_for_what_its_sources_look_back_to(landed):
    landed("flights", TWO)
    assert landed("weather", TWO).waiting == {TWO: ["weather 2013-01-01"]}


def test_newest_first_the_earlier_day_completes_the_later_one(landed):
    landed("flights", ONE, TWO)
    landed("weather", TWO)
    assert landed("weather", ONE).ready == [ONE, TWO]


def test_a_later_day_is_not_waited_for(landed):
    landed("flights", ONE)
    assert landed("weather", ONE).waiting == {}


def test_late_source_makes_the_later_day_ready_not_its_own(lake, landed):
    late = catalog().datasets["weather"].model_copy(update={"lag_days": 1})
    datasets = {**catalog().datasets, "weather": late}
    landed("weather", ONE)
    landed("flights", ONE, TWO)
    assert dependent_days(VIEW, "flights", [ONE, TWO], lake, datasets=datasets).ready == [ONE, TWO]
    assert dependent_days(VIEW, "weather", [ONE], lake, datasets=datasets).ready == [TWO]


def test_a_source_that_has_ended_is_not_waited_for(landed):
    landed("weather", LAST_WEATHER)
    assert landed("flights", date(2013, 12, 31)).ready == [date(2013, 12, 31)]


def test_a_day_of_hours_is_ready_with_the_last_of_them(lake, landed):
    hourly = catalog().datasets["weather"].model_copy(update={"granularity": "hour"})
    datasets = {**catalog().datasets, "weather": hourly}
    landed("flights", ONE)

    def publish(hour):
        rows = pd.DataFrame({"id": ["x"], "day": [str(ONE)], "hour": [f"{hour:%H}"]})
        lake.publish("weather", rows, [hour], metadata={})
        return dependent_days(VIEW, "weather", [ONE], lake, datasets=datasets)

    *earlier, last = hours_of(ONE)
    assert [publish(hour).ready for hour in earlier] == [[]] * 23
    assert publish(last).ready == [ONE]
