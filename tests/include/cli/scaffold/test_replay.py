from __future__ import annotations

import json
from datetime import date

from include.replay import history, player
from include.replay.journal import DayRecord
from include.replay.player import STRATEGIES


def test_replay_prints_strategies_and_writes_the_result(airworthy, tmp_path, monkeypatch):
    folder = tmp_path / "replay"
    monkeypatch.setattr(history, "publish_history", lambda *_, **__: {"flight_features": [date(2013, 7, 1)]})

    def play_nothing(replay, on_day):
        assert replay.faults == {"flight_features": {date(2013, 7, 1)}}
        records = [DayRecord(replay.first, None, 0, None, (), None, 0)]
        for strategy in STRATEGIES:
            on_day(strategy, records[0])
        return dict.fromkeys(STRATEGIES, records)

    monkeypatch.setattr(player, "play_all", play_nothing)
    options = ("--first", "2013-07-01", "--last", "2013-07-01", "--folder", folder, "--share", 0.5)
    result = airworthy("replay", "flight_delay", *options, "--json")
    assert result.code == 0, result.err
    printed = json.loads(result.out)
    assert printed == json.loads((folder / "result.json").read_text())
    assert [item["strategy"] for item in printed["strategies"]] == list(STRATEGIES)
    assert "governed 2013-07-01 of 2013-07-01: no champion" in result.err
    table = airworthy("replay", "flight_delay", *options)
    assert "roc_auc" in table.out
    assert str(folder / "roc_auc.svg") in table.out
    assert airworthy("replay", "flight_delay", *options[:-1], 0.1).code == 1


def test_replay_of_days_in_the_wrong_order_is_refused(airworthy, tmp_path):
    options = ("--first", "2013-07-02", "--last", "2013-07-01", "--folder", tmp_path)
    assert airworthy("replay", "flight_delay", *options).code == 2
