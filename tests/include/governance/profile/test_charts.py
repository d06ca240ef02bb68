from __future__ import annotations

import base64
from datetime import date

import pandas as pd
import pytest

from include.catalog import catalog
from include.declarations import Column
from include.governance.profile.charts import draw_column
from include.governance.profile.column_profiles import ColumnProfile, profile_columns
from include.governance.profile.sample import TableSample, read_sample


def test_each_kind_of_column_is_drawn_as_a_png(features):
    columns = catalog().feature_views["flight_features"].columns
    sample = read_sample(features, "flight_features", columns)
    drawn = {profile.column.name: draw_column(profile) for profile in profile_columns(columns, sample, {})}
    assert {"distance", "carrier", "flight_id"} <= drawn.keys()
    for address in drawn.values():
        prefix, _, content = address.partition(",")
        assert prefix == "data:image/png;base64"
        assert base64.b64decode(content).startswith(b"\x89PNG")


@pytest.mark.parametrize("days", [["2013-01-01"], ["2013-01-01", "2013-01-02"]], ids=["one", "two"])
def test_shares_show_however_many_partitions_there_are(days):
    charts = set()
    for share in (0.2, 0.8):
        shares = pd.DataFrame([[share, 1 - share]] * len(days), index=days, columns=["AA", "UA"])
        nulls = pd.Series(0.0, index=days)
        profile = ColumnProfile(Column(name="carrier", dtype="string"), 0, 2, "", nulls, shares, {})
        charts.add(draw_column(profile))
    assert len(charts) == 2


@pytest.mark.parametrize("numbers", [[1.7e308, -1.7e308], [1.7e308, 0.0], [5e-324, 0.0]])
def test_numbers_at_the_ends_of_the_range_are_drawn(numbers):
    names = pd.Series(["2013-07-01"] * 2)
    sample = TableSample(pd.DataFrame({"level": numbers}), names, (date(2013, 7, 1),), 1, 2)
    (profile,) = profile_columns((Column(name="level", dtype="number"),), sample, {})
    assert draw_column(profile).startswith("data:image/png;base64,")
