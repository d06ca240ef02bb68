"""Objectives of labels: days, budgets and burn rates."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from include.declarations import Slo
from include.monitoring.quality.label_levels import count_label_days, judge_label_levels
from include.monitoring.quality.maturity import DUE, LANDED
from include.use_cases.flight_delay import USE_CASE

FIRST = date(2026, 1, 1)
COVERAGE = {"slo": Slo(label_coverage=0.9)}
QUALITY = {"slo": Slo(quality=0.7), "metric": "roc_auc"}


def promised(**changes):
    return USE_CASE.model_copy(update=changes)


def day_of(number, due=100, missing=0, is_worse=None):
    day = f"{FIRST + timedelta(days=number)}"
    return {"day": day, "due": due, "missing": missing, "is_worse": is_worse, "value": 0.65}


def judge(use_case, *days, since=FIRST):
    (level,) = judge_label_levels(use_case, days, since=since).values()
    return level


def missing(*counts, due=100):
    return judge(promised(**COVERAGE), *(day_of(number, due, count) for number, count in enumerate(counts)))


def worse(*verdicts):
    return judge(promised(**QUALITY), *(day_of(number, 100, 0, bad) for number, bad in enumerate(verdicts)))


def test_nothing_promised_has_no_level():
    assert judge_label_levels(USE_CASE, [day_of(0, missing=100)], since=FIRST) == {}


def test_missing_labels_use_the_budget():
    level = missing(*[5] * 28)
    assert (level.outcome, level.total, level.bad, level.budget_left) == ("met", 2_800, 140, 0.5)
    assert not level.burns
    broken = missing(*[12] * 28)
    assert broken.outcome == "broken"
    assert broken.reason.startswith("of 2800 labels that were due 336 are missing, 90.00% are promised")


def test_few_labels_are_inconclusive_and_named():
    level = missing(9, due=9)
    assert (level.outcome, level.burns) == ("inconclusive", {})
    assert "of 9 labels that were due 9 are missing" in level.reason
    assert "100 are needed" in level.reason


def test_labels_that_stop_burn_before_the_budget_is_used():
    level = missing(*[0] * 26, 100, 100)
    assert (level.outcome, list(level.burns)) == ("met", ["5", "2"])
    assert (
        level.burns["5"]
        == "the error budget burns 10.0 times as fast as it may in 2 days, 5 times is the limit"
    )
    assert list(missing(*[0] * 21, *[30] * 7).burns) == ["2"]


def test_burn_that_is_over_fires_nothing():
    assert not missing(*[0] * 20, 100, 100, *[0] * 6).burns


def test_budget_begins_anew_on_the_first_day_that_counts():
    days = [day_of(number, missing=50 if number < 10 else 0) for number in range(20)]
    use_case = promised(**COVERAGE)
    assert judge(use_case, *days).outcome == "broken"
    assert judge(use_case, *days, since=FIRST + timedelta(days=10)).budget_left == 1


def test_days_that_are_worse_use_the_budget_of_the_quality():
    level = worse(*[False] * 18, True, None, False)
    assert (level.outcome, level.total, level.bad) == ("met", 20, 1)
    assert level.budget_left == pytest.approx(0.5)
    broken = worse(*[False] * 17, True, True, True)
    assert (broken.outcome, list(broken.burns)) == ("broken", ["5", "2"])
    assert "roc_auc of 3 of 20 days is below 0.7, the last one is 0.65" in broken.reason
    assert worse(True, True, True, True).outcome == "inconclusive"


def test_one_day_that_is_worse_burns_nothing():
    assert not worse(*[False] * 9, True).burns


@pytest.mark.parametrize(("noise", "n_worse"), [(0.3, 0), (30.0, 10)], ids=["good", "bad"])
def test_day_is_worse_if_its_whole_interval_is(noise, n_worse):
    days = count_label_days(promised(**QUALITY), [made_rows(noise, n_days=10)])
    assert len(days) == 10
    assert sum(day["is_worse"] for day in days) == n_worse


def test_days_with_few_labels_are_judged_together():
    days = count_label_days(promised(**QUALITY), [made_rows(0.3, n_days=6, per_day=40)])
    assert [day["is_worse"] for day in days] == [None, None, False, None, None, False]


def test_day_with_missing_labels_is_not_judged():
    rows = made_rows(0.3, n_days=2)
    rows.loc[:49, [LANDED, "_airworthy_target"]] = [False, np.nan]
    assert [day["is_worse"] for day in count_label_days(promised(**QUALITY), [rows])] == [None, False]


def test_rows_that_are_not_due_do_not_count():
    rows = made_rows(0.3, n_days=2)
    rows[[DUE, LANDED]] = False
    rows.loc[:149, DUE] = True
    days = count_label_days(promised(**COVERAGE), [rows])
    assert [(day["due"], day["missing"], day["is_worse"]) for day in days] == [(150, 150, None)]


def test_quality_at_its_limit_keeps_the_budget():
    random = np.random.default_rng(3)
    # A day of the limit is worse with a probability of 2.5 %.
    months = random.random((2_000, 28)) < 0.025
    n_broken = sum(worse(*month.tolist()).outcome == "broken" for month in months)
    assert n_broken / len(months) < 0.05


def made_rows(noise, n_days, per_day=200):
    random = np.random.default_rng(0)
    target = (random.random(n_days * per_day) < 0.4).astype(float)
    scores = target - 0.5 + random.normal(0, noise, len(target))
    days = [f"{FIRST + timedelta(days=number)}" for number in range(n_days)]
    return pd.DataFrame(
        {
            "_airworthy_prediction": 1 / (1 + np.exp(-scores)),
            "_airworthy_target": target,
            "_airworthy_day": np.repeat(days, per_day),
            DUE: True,
            LANDED: True,
        }
    )
