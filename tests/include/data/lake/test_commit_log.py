from __future__ import annotations

from datetime import date, timedelta

import pandas as pd
import pytest

from include.data.lake.commit_log import list_commits, list_files, producing_commit

ONE = date(2013, 1, 1)
TWO = date(2013, 1, 2)


@pytest.fixture
def publish(lake):
    def write(days, run):
        rows = pd.DataFrame({"id": "a", "_airworthy_day": [str(day) for day in days]})
        return lake.publish("things", rows, days, metadata={"run": run, "try": "1"})

    return write


def test_commits_name_run_try_and_days(lake, publish):
    first = publish([ONE, TWO], "first")
    second = publish([TWO], "second")
    lake.optimize_and_vacuum("things", timedelta(days=1))
    commits = list_commits(lake, "things")
    assert [(commit.version, commit.run, commit.attempt) for commit in commits] == [
        (first, "first", "1"),
        (second, "second", "1"),
    ]
    assert [set(commit.days) for commit in commits] == [{ONE, TWO}, {TWO}]


def test_producing_commit_is_the_newest_of_a_version_or_moment(lake, publish):
    version = publish([ONE, TWO], "first")
    publish([TWO], "second")
    first, second = list_commits(lake, "things")
    commits = [first, second]
    assert producing_commit(commits, ONE) == first
    assert producing_commit(commits, TWO) == second
    assert producing_commit(commits, TWO, version=version) == first
    assert producing_commit(commits, TWO, at=first.at - timedelta(seconds=1)) is None
    assert producing_commit(commits, date(2013, 1, 3)) is None


def test_files_are_those_of_the_days_in_a_version(lake, publish):
    version = publish([ONE, TWO], "first")
    publish([TWO], "second")
    (old,) = list_files(lake, "things", [TWO], version=version)
    (new,) = list_files(lake, "things", [TWO])
    assert old != new
    assert new.startswith("things/_airworthy_day=2013-01-02/")


def test_missing_table_has_no_commits_and_files(lake):
    assert list_commits(lake, "things") == []
    assert list_files(lake, "things", [ONE]) == []
