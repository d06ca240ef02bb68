from __future__ import annotations

import pytest

from include.data import reports
from include.errors import DataError


def test_a_page_is_read_as_it_was_written(tmp_path):
    address = reports.write(str(tmp_path), {}, "quality/flights/2013-01-01..2013-01-31.html", "<p>é</p>")
    assert address == f"{tmp_path}/_reports/quality/flights/2013-01-01..2013-01-31.html"
    assert reports.read(str(tmp_path), {}, "quality/flights/2013-01-01..2013-01-31.html") == "<p>é</p>"


def test_a_page_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"There is no report drift/x\.html"):
        reports.read(str(tmp_path), {}, "drift/x.html")


@pytest.mark.parametrize(
    "path", ["../secret", "a/../../b", "/etc/passwd", "", "a//b", "a/.hidden", "a\\b", "a/\n", "a%2e", ".."]
)
def test_no_path_leads_out_of_the_reports(tmp_path, path):
    (tmp_path / "secret").write_text("hush")
    with pytest.raises(DataError, match="is no report's path"):
        reports.read(str(tmp_path), {}, path)
    with pytest.raises(DataError, match="is no report's path"):
        reports.write(str(tmp_path), {}, path, "")
