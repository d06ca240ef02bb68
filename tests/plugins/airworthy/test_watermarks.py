"""Which runs take late changes again."""

from __future__ import annotations

from airworthy.watermarks import plan_late_runs

MARK = "2013-07-09T12:00:00+00:00"


def test_what_changed_in_a_row_is_one_run_and_days_apart_are_several():
    late = ["2013-07-05", "2013-07-01", "2013-07-02"]
    assert [run["conf"] for run in plan_late_runs({"watermark": MARK, "late": late})] == [
        {"first": "2013-07-01", "last": "2013-07-02"},
        {"first": "2013-07-05", "last": "2013-07-05"},
    ]


def test_hours_are_taken_again_as_hours():
    late = ["2013-07-01T23", "2013-07-02T00"]
    (run,) = plan_late_runs({"watermark": 7, "late": late})
    assert run["trigger_run_id"] == "late__2013-07-01T23..2013-07-02T00__7"
    assert run["conf"] == {"first": "2013-07-01T23", "last": "2013-07-02T00"}


def test_the_same_change_is_the_same_run():
    found = {"watermark": MARK, "late": ["2013-07-01"]}
    assert plan_late_runs(found) == plan_late_runs(found)
    assert plan_late_runs(found) != plan_late_runs(found | {"watermark": MARK.replace("12", "13")})


def test_where_nothing_is_watched_nothing_is_late():
    assert plan_late_runs(None) == plan_late_runs({"watermark": None, "late": []}) == []
