from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from include.catalog import catalog
from include.data.features.readiness import dependent_partitions
from include.declarations import ViewSource
from include.partitions import hours_of

VIEW = catalog().feature_views["flight_features"]
FLIGHTS, WEATHER = VIEW.sources
WIDE = VIEW.model_copy(update={"sources": (FLIGHTS, WEATHER.model_copy(update={"lookback_days": 2}))})
ONE, TWO, THREE, FOUR = (date(2013, 1, day) for day in (1, 2, 3, 4))
LAST_WEATHER = date(2013, 12, 30)


@pytest.fixture
def landed(lake):
    """Publish these days of a dataset, one row each."""

    def publish(dataset, *days, view=VIEW):
        rows = pd.DataFrame({"id": ["x"] * len(days), "_airworthy_day": [str(day) for day in days]})
        lake.publish(dataset, rows, days, metadata={})
        return dependent_partitions(view, dataset, days, lake, datasets=catalog().sources)

    return publish


def test_the_last_input_of_a_day_makes_it_ready(landed):
    first = landed("flights", TWO)
    assert (first.ready, first.waiting) == ([], {TWO: ["weather 2013-01-01"]})
    assert landed("weather", ONE).ready == [TWO]


def test_republished_day_is_ready_again_without_its_siblings(landed):
    landed("flights", TWO)
    landed("weather", ONE)
    assert landed("flights", TWO).ready == [TWO]


def test_a_day_before_the_first_of_a_source_is_not_waited_for(landed):
    assert landed("flights", ONE).ready == [ONE]


def test_a_day_does_not_wait_for_what_is_known_after_it(lake, landed):
    view = VIEW.model_copy(update={"known_from": "end"})
    landed("weather", ONE)
    landed("flights", TWO)
    late = dependent_partitions(view, "flights", [TWO], lake, datasets=catalog().sources)
    assert (late.ready, late.waiting) == ([TWO], {})


def test_newest_first_the_earlier_day_completes_the_later_one(landed):
    landed("flights", ONE, TWO, THREE, FOUR, view=WIDE)
    landed("weather", TWO, view=WIDE)
    assert landed("weather", ONE, view=WIDE).ready == [TWO, THREE]


def test_day_without_rows_is_an_input(lake, landed):
    lake.publish("weather", pd.DataFrame({"id": [], "_airworthy_day": []}), [ONE], metadata={})
    assert landed("flights", ONE).ready == [ONE]


def test_a_later_day_is_not_waited_for(landed):
    assert landed("weather", ONE).waiting == {}


def test_late_source_makes_the_later_day_ready_not_its_own(lake, landed):
    late = catalog().datasets["weather"].model_copy(update={"lag_days": 2})
    datasets = {**catalog().datasets, "weather": late}
    landed("weather", ONE)
    landed("flights", TWO, THREE)
    ready = dependent_partitions(WIDE, "flights", [TWO, THREE], lake, datasets=datasets).ready
    assert ready == [TWO, THREE]
    assert dependent_partitions(WIDE, "weather", [ONE], lake, datasets=datasets).ready == [THREE]


def test_a_source_that_has_ended_is_not_waited_for(landed):
    landed("weather", LAST_WEATHER)
    assert landed("flights", date(2013, 12, 31)).ready == [date(2013, 12, 31)]


def test_a_day_of_hours_is_ready_with_the_last_of_them(lake, landed):
    changes = {"granularity": "hour", "lag_days": 0, "known_from": "end"}
    datasets = {**catalog().datasets, "weather": catalog().datasets["weather"].model_copy(update=changes)}
    view = VIEW.model_copy(update={"known_from": "start"})
    landed("flights", TWO)

    def publish(hour):
        rows = pd.DataFrame({"id": ["x"], "_airworthy_day": [str(ONE)], "_airworthy_hour": [f"{hour:%H}"]})
        lake.publish("weather", rows, [hour], metadata={})
        return dependent_partitions(view, "weather", [hour], lake, datasets=datasets)

    *earlier, last = hours_of(ONE)
    assert [publish(hour).ready for hour in earlier] == [[]] * 23
    assert publish(last).ready == [TWO]


def test_a_view_waits_for_the_views_that_it_reads(lake, landed):
    nested = VIEW.model_copy(
        update={"name": "nested", "sources": (FLIGHTS, ViewSource(dataset=VIEW.name, lookback_days=1))}
    )
    sources = catalog().sources
    assert landed("flights", TWO, view=nested).waiting == {
        TWO: ["flight_features 2013-01-01", "flight_features 2013-01-02"]
    }
    rows = pd.DataFrame({"flight_id": ["x", "y"], "_airworthy_day": [str(ONE), str(TWO)]})
    lake.publish(VIEW.name, rows, [ONE, TWO], metadata={})
    after = dependent_partitions(nested, VIEW.name, [TWO], lake, datasets=sources)
    assert after.ready == [TWO]
