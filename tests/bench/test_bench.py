"""What `make bench` writes is what others compare with; the measurements themselves are never timed here."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from rich.console import Console

from include.errors import ServiceUnavailable
from tests.bench import __main__ as bench
from tests.bench.calibrated import simulate as simulate_calibration
from tests.bench.calls import Endpoint, call
from tests.bench.figures import Figure, table, write
from tests.bench.measurements import MEASUREMENTS, default_names
from tests.bench.pairs import Noise, Spread, measure_pairs, require_signal, spread
from tests.bench.promotions import simulate_cycles
from tests.bench.rig import Rig
from tests.bench.rollouts import NEVER, SCENARIOS, simulate

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


def test_the_sides_of_pairs_alternate():
    order = iter(range(6))
    pairs = measure_pairs(lambda: next(order), lambda: next(order), 3)
    assert pairs == [(0, 1), (3, 2), (4, 5)]


def test_a_median_has_the_interval_of_order_statistics():
    assert spread(range(1, 16)) == Spread(8, 4, 12)
    with pytest.raises(Noise, match="too few"):
        spread([1.0] * 5)


def test_a_figure_that_is_noise_is_refused():
    values = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6]
    assert require_signal("some_ratio", values, allowed=1.0).median == 1.3
    with pytest.raises(Noise, match="some_ratio is noise on this machine"):
        require_signal("some_ratio", values, allowed=0.1)


def test_requests_are_sent_over_kept_connections():
    server = HTTPServer(("127.0.0.1", 0), Answering)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        endpoint = Endpoint(f"127.0.0.1:{server.server_port}", "/invocations", [b"{}"])
        latencies = call(endpoint, seconds=0.2)
        assert len(latencies.latencies) > 1
        assert 0 < latencies.quantile(0.5) < 200
        with pytest.raises(ServiceUnavailable, match="status 500"):
            call(Endpoint(endpoint.address, "/broken", [b"{}"]), seconds=0.2)
    finally:
        server.shutdown()
        server.server_close()


class Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(500 if self.path == "/broken" else 200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        """Write nothing."""


def test_useless_challengers_are_seldom_promoted():
    assert simulate_cycles(60, 10, of_days=0.0) <= 0.1


def test_rollouts_without_a_difference_are_seldom_rolled_back():
    unchanged, failing, *_ = SCENARIOS
    assert (simulate(unchanged, 40)["sequential"] == NEVER).all()
    assert (simulate(failing, 40)["sequential"] < NEVER).mean() > 0.5


def test_true_models_are_seldom_refused():
    alarms = simulate_calibration("binary", 300, 7, 0.05, models=40)
    assert alarms.failed == 0
    # Of a narrower limit, chance passes it.
    assert simulate_calibration("binary", 60, 5, 0.05, models=40).inconclusive > 0.3
