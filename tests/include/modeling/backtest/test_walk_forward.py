from __future__ import annotations

from datetime import date

import pytest

from include.errors import DataError
from include.modeling.backtest.walk_forward import Backtest, NightlyResult, run_backtest
from include.use_cases.flight_delay import USE_CASE

FIRST = date(2013, 1, 17)
LAST = date(2013, 1, 20)


def night(**figures):
    return NightlyResult(f"{FIRST}", "passed", metric=0.7, **figures)


def test_a_range_without_training_names_the_backfill_command(registry, use_case):
    unknown = USE_CASE.model_copy(update={"name": use_case})
    with pytest.raises(DataError, match=f"airflow backfill create --dag-id {use_case}_training"):
        run_backtest(registry, unknown, FIRST, LAST)


@pytest.mark.parametrize("metric", ["log_loss", "roc_auc"])
def test_nights_better_than_the_baseline_are_counted(metric):
    nights = (night(baseline=0.8), night(baseline=0.6), night())
    assert Backtest("late", metric, nights).better_than_baseline == 1


@pytest.mark.parametrize(("overlap", "is_named"), [(3, True), (0, False), (None, False)])
def test_the_summary_names_a_champion_trained_on_test_rows(overlap, is_named):
    result = night(champion=2, champion_metric=0.9, champion_overlap=overlap)
    assert (
        "was trained on some of the test rows" in Backtest("late", "roc_auc", (result,)).summary
    ) is is_named
