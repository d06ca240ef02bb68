from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest

from include.data.lake import publications
from include.storage import filesystem

ON_BOTH_STORES = True

ONE, TWO, THREE = (date(2013, 1, day) for day in (1, 2, 3))


@pytest.fixture
def publish(lake):
    """Return a function that publishes days, one row each, or nothing."""

    def write(*days, code="", rows=1):
        frame = pd.DataFrame(
            {"id": ["a"] * len(days) * rows, "_airworthy_day": [str(day) for day in days] * rows}
        )
        metadata = {"run": "nightly", "try": "2", "code": code}
        return lake.publish("things", frame, days, metadata=metadata)

    return write


@pytest.fixture
def read_versions(monkeypatch):
    """Return the versions whose commits are read."""
    versions = []
    read = publications._read_commit

    def note(files, table, version):
        versions.append(version)
        return read(files, table, version)

    monkeypatch.setattr(publications, "_read_commit", note)
    return versions


def test_publication_names_version_time_code_and_run(lake, publish):
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    first = publish(ONE, TWO, code="abc")
    second = publish(TWO, code="def", rows=0)
    published = lake.publications("things")
    assert list(published) == [ONE, TWO]
    assert (published[ONE].version, published[ONE].code) == (first, "abc")
    assert (published[TWO].version, published[TWO].code) == (second, "def")
    assert (published[TWO].run, published[TWO].attempt) == ("nightly", "2")
    assert before <= published[ONE].published_at <= published[TWO].published_at <= datetime.now(UTC)


def test_old_version_has_its_publications(lake, publish):
    first = publish(ONE, code="abc")
    publish(ONE, TWO, code="def")
    published = lake.publications("things", version=first)
    assert {day: publication.code for day, publication in published.items()} == {ONE: "abc"}


def test_missing_table_has_no_publications(lake):
    assert lake.publications("things") == {}


def test_long_history_is_read_from_the_index(lake, publish, read_versions, monkeypatch):
    monkeypatch.setattr(publications, "INDEX_INTERVAL", 3)
    first = publish(ONE, code="1")
    for number in range(2, 7):
        publish(TWO, code=str(number), rows=0)
    read_versions.clear()
    published = lake.publications("things")
    assert (published[ONE].code, published[TWO].code) == ("1", "6")
    assert len(read_versions) < 3
    assert lake.publications("things", version=first + 1)[TWO].code == "2"
    assert list(lake.publications("things", version=first)) == [ONE]


def test_index_outlives_vacuum_but_not_the_table(lake, publish, monkeypatch):
    publish(ONE)
    lake.optimize_and_vacuum("things", timedelta(0))
    files = filesystem.open_filesystem(lake.uri, lake.storage_options)
    path = f"things/{publications.INDEX}"
    assert filesystem.find_missing(files, [path]) == set()
    lake.optimize_and_vacuum("things", timedelta(0))
    assert filesystem.find_missing(files, [path]) == set()
    with files.open_input_file(path) as file:
        index = file.read()
    files.delete_dir("things")
    publish(TWO)
    filesystem.write_file(files, path, bytes(index))
    assert list(lake.publications("things")) == [TWO]


def test_failed_index_does_not_fail_the_publication(lake, publish, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(publications, "INDEX_INTERVAL", 1)
    monkeypatch.setattr(publications, "write_index", fail)
    version = publish(ONE)
    assert lake.version("things") == version
    assert lake.days("things") == [ONE]
