"""What `make bench` writes is what others compare with; the measurements themselves are never timed here."""

from __future__ import annotations

import json

import pytest
from rich.console import Console

from tests.bench import __main__ as bench
from tests.bench.figures import Figure, table, write
from tests.bench.measurements import MEASUREMENTS, default_names
from tests.bench.promotions import simulate_cycles
from tests.bench.rig import Rig

FIGURE = Figure("some_ratio", 1.23456, "ratio", "at most 1.5", "twice")


def test_bench_json_is_a_list_of_the_five_fields_of_the_contract(tmp_path):
    write([FIGURE], tmp_path / "home" / "bench.json")
    assert json.loads((tmp_path / "home" / "bench.json").read_text()) == [
        {"name": "some_ratio", "value": 1.23456, "unit": "ratio", "against": "at most 1.5", "how": "twice"}
    ]


def test_the_table_shows_what_was_measured_and_what_could_not_be():
    console = Console(width=200, record=True)
    console.print(table([FIGURE], {"another": "it broke"}))
    text = console.export_text()
    assert all(
        part in text for part in ("some_ratio", "1.235", "at most 1.5", "another", "failed", "it broke")
    )


def test_a_measurement_that_fails_does_not_stop_the_others(tmp_path, monkeypatch):
    def broken(_):
        raise OSError("the disk is full")

    monkeypatch.setitem(MEASUREMENTS, "broken", broken)
    monkeypatch.setitem(MEASUREMENTS, "fine", lambda _: FIGURE)
    monkeypatch.setattr(bench, "settings", lambda: type("Settings", (), {"root": tmp_path}))
    assert bench.main(["--only", "broken,fine"]) == 1
    (figure,) = json.loads((tmp_path / "bench.json").read_text())
    assert figure["name"] == "some_ratio"
    assert "load" in figure["how"]


def test_what_can_be_measured_alone_succeeds(tmp_path, monkeypatch):
    monkeypatch.setitem(MEASUREMENTS, "fine", lambda _: FIGURE)
    monkeypatch.setattr(bench, "settings", lambda: type("Settings", (), {"root": tmp_path}))
    assert bench.main(["--only", "fine"]) == 0


def test_an_unknown_name_is_refused_with_those_that_there_are(capsys):
    with pytest.raises(SystemExit):
        bench.main(["--only", "speed"])
    assert "lifecycle_overhead_ratio" in capsys.readouterr().err


def test_the_demo_is_only_read_unless_it_is_asked_for(tmp_path):
    assert "demo_seconds" not in default_names(tmp_path)
    (tmp_path / "demo.json").write_text(json.dumps({"seconds": 321.0, "steps": {"The stack starts": 20.0}}))
    assert "demo_seconds" in default_names(tmp_path)
    rig = Rig(tmp_path)
    assert MEASUREMENTS["demo_seconds"](rig).value == 321.0
    rig.close()
    assert not rig.folder.exists()


def test_useless_challengers_are_seldom_promoted():
    assert simulate_cycles(60, 10, of_days=0.0) <= 0.1
