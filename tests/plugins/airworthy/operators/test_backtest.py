"""Backtest of four nights of backfilled trainings."""

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
from include.errors import GateFailed
from include.modeling.backtest.walk_forward import run_backtest
from include.settings import settings
from include.storage import reports
from tests.plugins.conftest import small

FIRST = date(2013, 1, 17)
LAST = date(2013, 1, 20)


def train(use_case, context, day, *, gates=True, **run):
    """Run one backfilled training as of a day, up to its gates."""
    moment = datetime(day.year, day.month, day.day, 2, tzinfo=UTC)
    dag_run = {"run_type": "backfill", "run_id": f"backfill__{day}", "logical_date": moment}
    task_context = context(dag_run | {"dag_id": f"{use_case.name}_training"} | run)
    name = use_case.name
    snapshot = TakeSnapshotOperator(task_id="snapshot", use_case=name).execute(task_context)
    arguments = {"use_case": name, "snapshot": snapshot}
    arguments["candidate"] = TrainModelOperator(task_id="train", **arguments).execute(task_context)
    if not gates:
        return arguments["candidate"]
    arguments["evidence"] = EvaluateModelOperator(task_id="evaluate", **arguments).execute(task_context)
    try:
        ModelGateOperator(task_id="gate", **arguments).execute(task_context)
    except GateFailed:
        return arguments["candidate"]
    return arguments["candidate"]


@pytest.fixture
def execute(flown, database, registry, context):
    def execute(use_case):
        operator = BacktestOperator(
            task_id="backtest", use_case=use_case.name, first=f"{FIRST}", last=f"{LAST}"
        )
        return operator, operator.execute(context())

    return execute


@pytest.fixture
def _command_settings(flown, registry, monkeypatch):
    monkeypatch.setenv("AIRWORTHY_MLFLOW_URI", registry.uri)
    monkeypatch.setenv("AIRWORTHY_LAKE_URI", flown.uri)
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.mark.usefixtures("_command_settings")
def test_every_night_is_reported_with_its_test_days(
    execute, use_case, declare, context, registry, flown, capsys
):
    train(use_case, context, FIRST)
    train(use_case, context, date(2013, 1, 18), gates=False)
    demanding = declare(small(use_case.name, gates=(Threshold(metric="roc_auc", minimum=0.999),)))
    train(demanding, context, LAST)
    train(demanding, context, LAST, clear_number=1)
    backtest = run_backtest(registry, demanding, FIRST, LAST)
    assert [night.as_of for night in backtest.nights] == [f"2013-01-{day}" for day in (17, 18, 19, 20)]
    assert [night.state for night in backtest.nights] == ["passed", "not judged", "no run", "refused"]
    first, *_, last = backtest.nights
    assert (first.last_day, first.test_days, first.test_rows) == ("2013-01-16", 4, 160)
    # All days before the test and validation days: arrivals are known when the next day begins.
    assert first.train_rows == 40 * (16 - 4 - 2)
    # The bounds of four days are wide.
    assert 0 <= first.interval[0] <= first.metric <= first.interval[1] <= 1
    assert first.metric > 0.5
    # The run that was cleared is superseded.
    assert (last.failed, last.runs) == (("threshold_roc_auc",), 1)
    assert first.baseline == 0.5
    assert backtest.better_than_baseline == 2
    assert "4 nights: 1 passed, 1 not judged, 1 no run, 1 refused." in backtest.summary
    assert "share test days" in backtest.summary

    operator, summary = execute(demanding)
    assert summary == backtest.summary
    _check_page(operator, use_case, flown)
    _check_command(use_case, capsys)


def _check_page(operator, use_case, lake):
    path = f"backtests/{use_case.name}/2013-01-17_2013-01-20.html"
    assert BacktestLink().get_link(operator, ti_key=None).endswith(f"/airworthy/reports/{path}")
    page = reports.read_report(lake.uri, {}, path)
    assert "refused: threshold_roc_auc" in page
    assert "data:image/png;base64,iVBOR" in page


def _check_command(use_case, capsys):
    arguments = ["backtest", use_case.name, "--first", f"{FIRST}", "--last", f"{LAST}"]
    result = json.loads(_output_of([*arguments, "--json"], capsys))
    assert result["nights"][3]["state"] == "refused"
    text = _output_of(arguments, capsys)
    assert "4 nights" in text
    assert f"/airworthy/reports/backtests/{use_case.name}/" in text


def _output_of(arguments, capsys):
    # Discard earlier log lines.
    capsys.readouterr()
    with pytest.raises(SystemExit, match="0"):
        main(arguments)
    return capsys.readouterr().out
