from __future__ import annotations

from airworthy.watermarks import plan_late_runs

WATERMARK = "2013-07-09T12:00:00+00:00"


def test_contiguous_days_are_one_run_and_others_several():
    late = ["2013-07-05", "2013-07-01", "2013-07-02"]
    assert [run["conf"] for run in plan_late_runs({"watermark": WATERMARK, "late": late})] == [
        {"first": "2013-07-01", "last": "2013-07-02"},
        {"first": "2013-07-05", "last": "2013-07-05"},
    ]


def test_hours_are_ingested_again_as_hours():
    late = ["2013-07-01T23", "2013-07-02T00"]
    (run,) = plan_late_runs({"watermark": 7, "late": late})
    assert run["trigger_run_id"] == "late__2013-07-01T23..2013-07-02T00__7"
    assert run["conf"] == {"first": "2013-07-01T23", "last": "2013-07-02T00"}


def test_run_of_the_same_change_has_the_same_id():
    changes = {"watermark": WATERMARK, "late": ["2013-07-01"]}
    assert plan_late_runs(changes) == plan_late_runs(changes)
    assert plan_late_runs(changes) != plan_late_runs(changes | {"watermark": WATERMARK.replace("12", "13")})


def test_without_changes_no_run_is_planned():
    assert plan_late_runs(None) == []
    assert plan_late_runs({"watermark": None, "late": []}) == []
