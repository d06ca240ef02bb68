from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from include.data.snapshots.meanings import select_days
from include.declarations import Training
from include.errors import DataError
from include.use_cases.air_time import USE_CASE

DAYS = [date(2013, 1, day) for day in (1, 2, 3)]


@pytest.fixture
def select(lake):
    """Return a function that selects days after each was published with one of these codes."""

    def publish_and_select(*codes, stale_days="refuse"):
        versions = {}
        for day, code in zip(DAYS, codes, strict=True):
            rows = pd.DataFrame({"id": ["a"], "_airworthy_day": [str(day)]})
            versions["flight_features"] = lake.publish(
                "flight_features", rows, [day], metadata={"code": code}
            )
        use_case = USE_CASE.model_copy(update={"training": Training(stale_days=stale_days)})
        return select_days(use_case, lake, DAYS, versions=versions)

    return publish_and_select


def test_days_of_two_meanings_are_refused_by_name(select):
    with pytest.raises(DataError, match=r"air_time: 1 of 3 days of flight_features \(2013-01-01\) .*rebuild"):
        select("old", "new", "new")


def test_days_of_other_code_than_the_newest_are_excluded(select):
    assert select("old", "new", "new", stale_days="exclude") == DAYS[1:]


def test_days_of_two_meanings_are_used_if_declared(select):
    assert select("old", "new", "new", stale_days="use") == DAYS


@pytest.mark.parametrize("codes", [("old", "old", "old"), ("", "new", ""), ("", "", "")])
def test_days_of_one_meaning_or_unknown_code_are_used(select, codes):
    assert select(*codes) == DAYS
