"""Progress in the log: seldom, with percent where the total is known."""

from __future__ import annotations

import logging
import threading

import pytest

from include.storage import progress
from include.storage.progress import REPORTER, Progress, ProgressReport, describe_time, timed_step, tracked
from tests.conftest import wait_until


@pytest.fixture
def clock():
    """Return a clock that the test sets: `clock.now` in seconds."""

    class Clock:
        now = 0.0

        def __call__(self):
            return self.now

    return Clock()


@pytest.fixture
def reports():
    """Return the list of what is reported."""
    reported = []
    token = REPORTER.set(reported.append)
    yield reported
    REPORTER.reset(token)


@pytest.fixture(autouse=True)
def info(caplog):
    caplog.set_level(logging.INFO)


def test_progress_is_logged_at_most_every_ten_seconds(caplog, clock):
    steps = Progress("flights: validated", 4_000, clock=clock)
    for second in range(0, 40):
        clock.now = float(second)
        steps.advance(100)
    assert caplog.messages == [
        "flights: validated 1,100 of 4,000 rows (28%), 10 s so far, about 26 s more",
        "flights: validated 2,100 of 4,000 rows (52%), 20 s so far, about 18 s more",
        "flights: validated 3,100 of 4,000 rows (78%), 30 s so far, about 9 s more",
    ]


def test_progress_is_reported_at_most_every_two_seconds(reports, clock):
    steps = Progress("flights: validated", 4_000, clock=clock)
    for tenth in range(60):
        clock.now = tenth / 10
        steps.advance(10)
    assert reports == [
        ProgressReport("flights: validated", 210, 4_000, "rows"),
        ProgressReport("flights: validated", 410, 4_000, "rows"),
    ]


def test_progress_without_a_total_has_no_percent(caplog, clock):
    steps = Progress("extracted", clock=clock)
    clock.now = 11.0
    steps.advance(1_234_567)
    assert caplog.messages == ["extracted 1,234,567 rows, 11 s so far"]


def test_short_step_logs_nothing(caplog):
    assert list(tracked(range(5), "built", 5, unit="days")) == list(range(5))
    assert caplog.messages == []


def test_tracked_items_are_counted_when_they_are_done(caplog, monkeypatch):
    monkeypatch.setattr(progress, "INTERVAL_S", 0.0)
    for day in tracked(range(2), "view: built", 2, unit="partitions"):
        assert len(caplog.messages) == day
    assert [message.split(", ")[0] for message in caplog.messages] == [
        "view: built 1 of 2 partitions (50%)",
        "view: built 2 of 2 partitions (100%)",
    ]


def test_running_step_says_how_long_it_has_run(caplog, monkeypatch, reports):
    monkeypatch.setattr(progress, "INTERVAL_S", 0.01)
    monkeypatch.setattr(progress, "REPORT_INTERVAL_S", 0.0)
    with timed_step("delay: fit on 90 rows", 2, 3, "the training"):
        wait_until(lambda: caplog.messages)
    assert caplog.messages[0] == "delay: fit on 90 rows, step 2 of 3 of the training: 0 s so far"
    step = "delay: fit on 90 rows, step 2 of 3 of the training"
    assert reports == [ProgressReport(step, 1, 3, "steps")]


def test_short_running_step_logs_nothing_and_ends_its_thread(caplog, reports):
    with pytest.raises(ValueError, match="no fit"), timed_step("fit", 1, 3, "the training"):
        raise ValueError("no fit")
    assert caplog.messages == []
    assert reports == []
    assert not [thread for thread in threading.enumerate() if thread.name == "progress"]


@pytest.mark.parametrize(("seconds", "text"), [(9.6, "10 s"), (119, "119 s"), (300, "5 min")])
def test_durations_are_for_people(seconds, text):
    assert describe_time(seconds) == text
