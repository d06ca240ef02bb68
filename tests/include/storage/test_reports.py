from __future__ import annotations

import pytest

from include.errors import DataError
from include.storage import reports


def test_a_page_is_read_as_it_was_written(place):
    address = reports.write_report(
        place.uri, place.options, "quality/flights/2013-01-01..2013-01-31.html", "<p>é</p>"
    )
    assert address == f"{place.uri}/_reports/quality/flights/2013-01-01..2013-01-31.html"
    assert (
        reports.read_report(place.uri, place.options, "quality/flights/2013-01-01..2013-01-31.html")
        == "<p>é</p>"
    )


def test_a_page_that_is_not_there_is_named(place):
    with pytest.raises(DataError, match=r"There is no report drift/x\.html"):
        reports.read_report(place.uri, place.options, "drift/x.html")


@pytest.mark.parametrize(
    "path", ["../secret", "a/../../b", "/etc/passwd", "", "a//b", "a/.hidden", "a\\b", "a/\n", "a%2e", ".."]
)
def test_no_path_leads_out_of_the_reports(place, path):
    place.put("secret", b"hush")
    with pytest.raises(DataError, match="is no report's path"):
        reports.read_report(place.uri, place.options, path)
    with pytest.raises(DataError, match="is no report's path"):
        reports.write_report(place.uri, place.options, path, "")
