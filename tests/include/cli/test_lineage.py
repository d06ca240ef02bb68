from __future__ import annotations

from datetime import date
from types import SimpleNamespace

import pandas as pd
import pytest

from include.cli import lineage as command
from include.data.lake.delta_tables import Lake

DAYS = [date(2013, 7, 1), date(2013, 7, 2)]


@pytest.fixture
def lake(tmp_path, monkeypatch):
    monkeypatch.setattr(
        command, "settings", lambda: SimpleNamespace(lake_uri=str(tmp_path), mlflow_uri="http://127.0.0.1:9")
    )
    return Lake(str(tmp_path))


def test_labels_shows_which_days_are_learnt_from(lake, capsys):
    rows = pd.DataFrame({"flight_id": ["a", "b", "c", "d"], "day": [str(day) for day in DAYS for _ in "ab"]})
    lake.publish("flight_features", rows, DAYS, metadata={})
    lake.publish("arrivals", rows.iloc[:3].assign(arr_delay=[1.0, None, 2.0]), DAYS, metadata={})
    assert command.main(["labels", "flight_delay"]) == 0
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["2013-07-01", "2", "2", "1", "100.0%", "yes"] in shown
    assert ["2013-07-02", "2", "1", "1", "50.0%", "no"] in shown


@pytest.mark.parametrize("wrong", [["model", "unknown", "1"], ["partition", "flights", "July"], []])
def test_what_cannot_be_asked_is_refused_with_what_can(wrong, lake, capsys):
    with pytest.raises(SystemExit):
        command.main(wrong)
    assert "usage: python -m include.cli.lineage" in capsys.readouterr().err
