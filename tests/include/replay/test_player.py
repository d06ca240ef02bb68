"""Replays of a few days of small made-up flights."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from include.data.lake.delta_tables import Lake
from include.declarations import DriftPolicy, RetrainPolicy, Split, Threshold
from include.errors import ConflictError
from include.replay import report
from include.replay.journal import require_same_settings
from include.replay.lakes import FrozenLake
from include.replay.player import LAKE, Replay, play
from include.replay.results import count_events, summarise
from include.replay.versions import VersionStore, without_budgets
from include.use_cases.air_time import USE_CASE
from tests.made_flights import make_flights

HISTORY = date(2013, 3, 4)
FIRST = date(2013, 3, 12)
SHIFT = date(2013, 3, 14)
# Days of the new kind suffice for training, validation and test by then.
LEARNED = date(2013, 3, 22)
LAST = date(2013, 3, 24)
ROWS_PER_DAY = 120
SMALL = without_budgets(
    USE_CASE.model_copy(
        update={
            "gates": (Threshold(metric="mae", maximum=60),),
            "split": Split(validation_days=1, test_days=5, minimum_rows=100),
            "training": USE_CASE.training.model_copy(update={"last_days": 2}),
            "drift": DriftPolicy(window_days=2, minimum_rows=50),
            "retrain": RetrainPolicy(k=1, n=1, cooldown=LEARNED - SHIFT - timedelta(days=1)),
        }
    )
)


class Killed(BaseException):
    """The process ended."""


def make_replay(folder, shift=None):
    """Return a replay of flights whose air times have another cause from the day `shift` on."""
    days = [HISTORY + timedelta(days=number) for number in range((LAST - HISTORY).days + 1)]
    rows = make_flights(days, ROWS_PER_DAY)
    noise = np.random.default_rng(1).normal(0, 3, len(rows))
    minutes = rows["distance"] / 8 + noise
    if shift is not None:
        minutes = minutes.where(rows["_airworthy_day"] < f"{shift}", 330 - rows["distance"] / 8 + noise)
    lake = Lake(str(folder / LAKE))
    lake.publish("flight_features", rows, days, metadata={})
    arrivals = rows[["flight_id", "_airworthy_day"]].assign(air_time=minutes)
    lake.publish("arrivals", arrivals, days, metadata={})
    return open_replay(folder)


def open_replay(folder, last=LAST):
    store = VersionStore(SMALL, FrozenLake(str(folder / LAKE)), folder / "versions")
    return Replay(SMALL, folder, store, FIRST, last, every=6)


def ignore(record):
    """Show nothing."""


def requests_of(records):
    return [record.day for record in records if record.check and record.check.action == "retrain"]


@pytest.fixture(scope="module")
def shifted(tmp_path_factory):
    """Return a replay with a planted shift, and the records of the governed strategy."""
    replay = make_replay(tmp_path_factory.mktemp("shifted"), SHIFT)
    return replay, play(replay, "governed", ignore)


def test_planted_shift_is_answered_by_a_retraining(shifted):
    _, records = shifted
    # The first candidate learned from the old days only.
    assert requests_of(records) == [SHIFT + timedelta(days=1), LEARNED]
    assert count_events(records).promotions == count_events(records).trainings == 3
    assert (records[0].champion, records[-1].champion) == (20130312, 20130322)
    assert records[-1].check.quality == "good"


def test_quiet_days_are_left_alone(tmp_path):
    make_replay(tmp_path)
    records = play(open_replay(tmp_path, last=SHIFT + timedelta(days=2)), "governed", ignore)
    assert requests_of(records) == []
    assert [len(record.trainings) for record in records] == [1] + [0] * (len(records) - 1)
    assert {record.rows for record in records} == {ROWS_PER_DAY}


def test_killed_replay_goes_on_with_the_same_days(shifted, tmp_path):
    replay = make_replay(tmp_path, SHIFT)

    def kill(record):
        if record.day == SHIFT:
            raise Killed

    with pytest.raises(Killed):
        play(replay, "governed", kill)
    with replay.journal("governed").path.open("a") as file:
        # The line that was being written.
        file.write('{"day": "2013-')
    played = []
    resumed = play(open_replay(tmp_path, last=SHIFT + timedelta(days=2)), "governed", played.append)
    assert resumed == shifted[1][: len(resumed)]
    assert len(resumed) == len(played) + (SHIFT - FIRST).days + 1
    assert played[0].day == SHIFT + timedelta(days=1)


def test_strategies_are_compared_by_later_labels(shifted, tmp_path):
    replay, records = shifted
    results = [
        summarise(replay, "scheduled", play(replay, "scheduled", ignore)),
        summarise(replay, "governed", records),
        summarise(replay, "never", play(replay, "never", ignore)),
    ]
    scheduled, governed, never = results
    assert (scheduled.counts.trainings, never.counts.trainings) == (3, 1)
    assert governed.metrics["mae"] < never.metrics["mae"]
    assert governed.cost < never.cost
    assert sum(week.labelled for week in governed.weeks) == governed.labelled == len(records) * ROWS_PER_DAY
    table = report.result_rows(SMALL, results)
    assert [row[0] for row in table] == ["scheduled", "governed", "never"]
    assert {len(row) for row in table} == {len(report.COLUMNS) + len(report.table_metrics(SMALL))}
    charts = report.write_charts(SMALL, results, tmp_path)
    assert [path.name for path in charts] == ["mae.svg", "cost.svg"]
    assert all(b"<svg" in path.read_bytes() for path in charts)


def test_folder_of_another_replay_is_refused(tmp_path):
    require_same_settings(tmp_path, {"share": 0.5})
    require_same_settings(tmp_path, {"share": 0.5})
    with pytest.raises(ConflictError, match="share"):
        require_same_settings(tmp_path, {"share": 1.0})
