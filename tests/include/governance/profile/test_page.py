from __future__ import annotations

from datetime import UTC, datetime

from include.catalog import catalog
from include.governance.profile.page import write_profile
from include.storage.reports import has_report, read_report
from tests.personal_columns import declare_personal

NOON = datetime(2013, 7, 5, 12, tzinfo=UTC)


def test_page_names_sample_users_and_columns(features, lake):
    assert not has_report(lake.uri, {}, "profiles/flight_features.html")
    path = write_profile(catalog(), lake, "flight_features", now=NOON)
    page = read_report(lake.uri, {}, path)
    assert "All 160 rows of 4 partitions. From 2013-07-01 to 2013-07-04; made at 2013-07-05 12:00 UTC" in page
    assert "flight_delay" in page
    assert "newest 2013-07-04, 0.5 days old, due 2013-07-04 06:00 UTC" in page
    assert "2013-07-05 is 6.0 hours overdue; 4 partitions, 160 rows" in page
    assert page.count("data:image/png;base64") == page.count("<h2")
    assert has_report(lake.uri, {}, path)


def test_page_hides_personal_values(features, lake):
    path = write_profile(declare_personal("carrier"), lake, "flight_features", now=NOON)
    page = read_report(lake.uri, {}, path)
    assert "punctual" not in page
    assert "***" in page
