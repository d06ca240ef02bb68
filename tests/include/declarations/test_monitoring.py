from __future__ import annotations

import pytest
from pydantic import ValidationError

from include.declarations import Schedules, Slo
from include.use_cases.flight_delay import USE_CASE


def test_staggered_minutes_are_spread_over_the_hour_and_stay():
    crons = [Schedules().cron("training", f"model_{number}") for number in range(500)]
    minutes = [int(cron.split()[0]) for cron in crons]
    assert {cron.partition(" ")[2] for cron in crons} == {"2 * * *"}
    assert set(minutes) == set(range(60))
    assert max(minutes.count(minute) for minute in range(60)) < 25
    assert Schedules().cron("training", "model_0") == crons[0]


def test_declared_times_are_kept():
    schedules = Schedules(training="30 3 * * 1", monitoring=None, time_zone="America/New_York")
    assert schedules.cron("training", "delay") == "30 3 * * 1"
    assert schedules.cron("monitoring", "delay") is None


@pytest.mark.parametrize("cron", ["60 2 * * *", "H", "2:00", "* * * * * *", "H H * * *"])
def test_wrong_cron_expression_is_refused(cron):
    with pytest.raises(ValidationError, match="no cron expression"):
        Schedules(training=cron)


@pytest.mark.parametrize("name", ["availability", "label_coverage", "quality_days"])
def test_objective_that_is_always_met_is_refused(name):
    with pytest.raises(ValidationError, match="so it can never fire"):
        Slo(**{name: 0})


@pytest.mark.parametrize("quality", [0.0, 1.0])
def test_quality_that_is_never_missed_or_kept_is_refused(quality):
    declared = USE_CASE.model_dump() | {"metric": "roc_auc"}
    with pytest.raises(ValidationError, match=r"slo.quality: roc_auc is from 0 to 1"):
        type(USE_CASE)(**declared | {"slo": Slo(quality=quality)})
    assert type(USE_CASE)(**declared | {"slo": Slo(quality=0.6)})
