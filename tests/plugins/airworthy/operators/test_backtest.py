"""Four nights of trainings by backfill, laid out as one table and picture."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import pytest

from airworthy.links import BacktestLink
from airworthy.operators.backtest import BacktestOperator
from airworthy.operators.gate import ModelGateOperator
from airworthy.operators.training import EvaluateModelOperator, TakeSnapshotOperator, TrainModelOperator
from include.cli.__main__ import main
from include.declarations import Threshold
from include.errors import DataError, GateFailed
from include.modeling.backtest import walk_forward
from include.storage import reports
from tests.plugins.conftest import small

FIRST, LAST = date(2013, 1, 17), date(2013, 1, 20)


def train(use_case, context, day, *, gates=True, **run):
    """Run one backfilled training as of a day, up to its gates."""
    moment = datetime(day.year, day.month, day.day, 2, tzinfo=UTC)
    about = {"run_type": "backfill", "run_id": f"backfill__{day}", "logical_date": moment}
    given = context(about | {"dag_id": f"{use_case.name}_training"} | run)
    name = use_case.name
    snapshot = TakeSnapshotOperator(task_id="snapshot", use_case=name).execute(given)
    made = {"use_case": name, "snapshot": snapshot}
    made["candidate"] = TrainModelOperator(task_id="train", **made).execute(given)
    if not gates:
        return made["candidate"]
    made["evidence"] = EvaluateModelOperator(task_id="evaluate", **made).execute(given)
    try:
        ModelGateOperator(task_id="gate", **made).execute(given)
    except GateFailed:
        return made["candidate"]
    return made["candidate"]


@pytest.fixture
def lay_out(flown, database, registry, context):
    def lay_out(use_case):
        operator = BacktestOperator(
            task_id="backtest", use_case=use_case.name, first=f"{FIRST}", last=f"{LAST}"
        )
        lay_out.operator = operator
        return operator.execute(context())

    return lay_out


def test_every_night_has_its_line_with_what_came_after_its_training(
    lay_out, use_case, declare, context, registry, flown, capsys, monkeypatch
):
    train(use_case, context, FIRST)
    train(use_case, context, date(2013, 1, 18), gates=False)
    demanding = declare(small(use_case.name, gates=(Threshold(metric="roc_auc", minimum=0.999),)))
    train(demanding, context, LAST)
    train(demanding, context, LAST, clear_number=1)
    found = walk_forward.walk(registry, demanding, FIRST, LAST)
    assert [night.as_of for night in found.nights] == [f"2013-01-{day}" for day in (17, 18, 19, 20)]
    assert [night.state for night in found.nights] == ["passed", "not judged", "no run", "refused"]
    first, *_, last = found.nights
    assert (first.last_day, first.test_days, first.test_rows) == ("2013-01-16", 4, 160)
    assert first.train_rows == 40 * (16 - 4 - 1 - 2 - 1)  # test, embargo, validation, embargo
    assert 0.5 < first.interval[0] <= first.metric <= first.interval[1]
    assert (last.failed, last.runs) == (("threshold_roc_auc",), 1)  # the cleared run is superseded
    assert (first.naive, found.better_than_naive) == (0.5, 2)
    assert "4 nights: 1 passed, 1 not judged, 1 no run, 1 refused." in found.summary
    assert "share test days" in found.summary

    assert lay_out(demanding) == found.summary
    _the_page_shows_it(lay_out.operator, use_case, flown)
    monkeypatch.setenv("AIRWORTHY_MLFLOW_URI", registry.uri)
    monkeypatch.setenv("AIRWORTHY_LAKE_URI", flown.uri)
    walk_forward.settings.cache_clear()
    _the_command_tells_it(use_case, capsys)


def _the_page_shows_it(operator, use_case, lake):
    path = f"backtests/{use_case.name}/2013-01-17_2013-01-20.html"
    assert BacktestLink().get_link(operator, ti_key=None).endswith(f"/airworthy/reports/{path}")
    page = reports.read_report(lake.uri, {}, path)
    assert "refused: threshold_roc_auc" in page
    assert "data:image/png;base64,iVBOR" in page


def _the_command_tells_it(use_case, capsys):
    arguments = ["backtest", use_case.name, "--first", f"{FIRST}", "--last", f"{LAST}"]
    result = json.loads(_output_of([*arguments, "--json"], capsys))
    assert result["nights"][3]["state"] == "refused"
    text = _output_of(arguments, capsys)
    assert "4 nights" in text
    assert f"/airworthy/reports/backtests/{use_case.name}/" in text


def _output_of(arguments, capsys):
    capsys.readouterr()  # what was logged before
    with pytest.raises(SystemExit, match="0"):
        main(arguments)
    return capsys.readouterr().out


def test_without_any_training_it_says_how_to_backfill(registry, use_case):
    with pytest.raises(DataError, match=f"airflow backfill create --dag-id {use_case.name}_training"):
        walk_forward.walk(registry, use_case, FIRST, LAST)


def night(**figures):
    return walk_forward.NightlyResult(f"{FIRST}", "passed", metric=0.7, **figures)


def test_where_small_is_good_better_than_naive_is_less():
    nights = (night(naive=0.8), night(naive=0.6), night())
    assert walk_forward.Backtest("late", "log_loss", nights).better_than_naive == 1
    assert walk_forward.Backtest("late", "roc_auc", nights).better_than_naive == 1


@pytest.mark.parametrize(("saw", "said"), [(3, True), (0, False), (None, False)])
def test_a_champion_that_had_learnt_from_the_test_rows_is_marked(saw, said):
    from include.modeling.backtest.report import cells

    one = night(champion=2, champion_metric=0.9, champion_saw=saw)
    assert ("0.9000* (version 2)" in cells(one)) is said
    assert ("flatters" in walk_forward.Backtest("late", "roc_auc", (one,)).summary) is said
