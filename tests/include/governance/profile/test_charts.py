from __future__ import annotations

import base64

from include.catalog import catalog
from include.governance.profile.charts import draw_column
from include.governance.profile.column_profiles import profile_columns
from include.governance.profile.sample import read_sample


def test_each_kind_of_column_is_drawn_as_a_png(features):
    columns = catalog().feature_views["flight_features"].columns
    sample = read_sample(features, "flight_features", columns)
    drawn = {profile.column.name: draw_column(profile) for profile in profile_columns(columns, sample, {})}
    assert {"distance", "carrier", "flight_id"} <= drawn.keys()
    for address in drawn.values():
        prefix, _, content = address.partition(",")
        assert prefix == "data:image/png;base64"
        assert base64.b64decode(content).startswith(b"\x89PNG")
