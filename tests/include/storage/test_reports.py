from __future__ import annotations

import pytest

from include.errors import DataError
from include.storage import reports

ON_BOTH_STORES = True


def test_report_is_read_as_it_was_written(storage_root):
    address = reports.write_report(
        storage_root.uri, storage_root.options, "quality/flights/2013-01-01..2013-01-31.html", "<p>é</p>"
    )
    assert address == f"{storage_root.uri}/_reports/quality/flights/2013-01-01..2013-01-31.html"
    assert (
        reports.read_report(
            storage_root.uri, storage_root.options, "quality/flights/2013-01-01..2013-01-31.html"
        )
        == "<p>é</p>"
    )


def test_missing_report_is_named(storage_root):
    with pytest.raises(DataError, match=r"There is no report drift/x\.html"):
        reports.read_report(storage_root.uri, storage_root.options, "drift/x.html")


@pytest.mark.parametrize(
    "path", ["../secret", "a/../../b", "/etc/passwd", "", "a//b", "a/.hidden", "a\\b", "a/\n", "a%2e", ".."]
)
def test_path_out_of_the_reports_is_refused(storage_root, path):
    storage_root.write("secret", b"hush")
    with pytest.raises(DataError, match="is no report's path"):
        reports.read_report(storage_root.uri, storage_root.options, path)
    with pytest.raises(DataError, match="is no report's path"):
        reports.write_report(storage_root.uri, storage_root.options, path, "")
