from __future__ import annotations

import faulthandler
import json
import os
import pickle
import signal
import sys

import numpy as np
import psutil
import pytest

from include.errors import ModelError, ServiceUnavailable
from include.inference.model import load_unverified
from include.modeling.evaluation import isolated_process
from include.use_cases.flight_delay import USE_CASE


@pytest.fixture
def rows(flights):
    return flights(days=3)[list(USE_CASE.features)]


def test_process_predicts_alike_and_measures_its_cost(packaged, tmp_path, rows):
    # 480 MB of the caller's memory, which must not count.
    ballast = np.ones(60_000_000)
    with isolated_process.isolated_predictor(rows) as start:
        wait = start(packaged)
        wait_for_missing = start(tmp_path / "missing")
        measurement = wait()
        with pytest.raises(ModelError, match=r"cannot predict in an isolated process: .*missing"):
            wait_for_missing()
    expected = load_unverified(packaged).predict(rows)
    assert np.array_equal(measurement.predictions, expected)
    assert 0 < measurement.latency_p50_ms <= measurement.latency_p99_ms
    assert 50 < measurement.memory_mb < ballast.nbytes / 1e6
    assert measurement.size_mb == pytest.approx(isolated_process.package_size(packaged) / 1e6)


def test_rows_that_the_model_cannot_predict_are_a_problem(packaged, rows):
    result = isolated_process.measure_result(packaged, rows.drop(columns="hour"))
    assert result["problem"].startswith("KeyError")
    assert "hour" in result["problem"]


def test_memory_that_runs_out_is_an_accident(packaged, rows, monkeypatch):
    def exhaust(_):
        raise MemoryError("Unable to allocate 9 GiB")

    monkeypatch.setattr(isolated_process.inference, "load_unverified", exhaust)
    result = isolated_process.measure_result(packaged, rows)
    assert "The prediction in an isolated process was cut short: MemoryError" in result["accident"]


@pytest.mark.parametrize(
    ("signal_", "error"), [(signal.SIGKILL, ServiceUnavailable), (signal.SIGSEGV, ModelError)]
)
def test_killed_process_is_an_accident_and_a_crash_is_not(rows, monkeypatch, tmp_path, capfd, signal_, error):
    def end(*_):
        faulthandler.disable()
        os.kill(os.getpid(), signal_)

    monkeypatch.setattr(isolated_process, "measure_result", end)
    isolated_process._run_child(0, tmp_path, rows)
    result = json.loads(capfd.readouterr().out)
    with pytest.raises(error, match=f"it ended with -{signal_.value}"):
        isolated_process._measurement([result], 0)


def test_timeout_is_an_accident_and_leaves_no_process(packaged, rows, monkeypatch):
    monkeypatch.setattr(isolated_process, "TIMEOUT_S", 0.01)
    # The servers of the test session.
    others = psutil.Process().children()
    with isolated_process.isolated_predictor(rows) as start:
        with pytest.raises(ServiceUnavailable, match="too busy"):
            start(packaged)()
        (child,) = (process for process in psutil.Process().children() if process not in others)
    assert not child.is_running()


def test_process_that_cannot_start_is_an_accident(packaged, rows, monkeypatch):
    monkeypatch.setattr(isolated_process, "PROJECT", packaged)
    with (
        isolated_process.isolated_predictor(rows) as start,
        pytest.raises(ServiceUnavailable, match=r"could not start: .*include"),
    ):
        start(packaged)()


def test_output_of_a_model_is_no_result(packaged, rows, tmp_path, monkeypatch, capfd):
    (tmp_path / "rows").write_bytes(pickle.dumps(rows))

    def chatty(number, *_):
        sys.stdout.write(f'{{"progress": 1}}\n{json.dumps({"number": number})}\n')

    monkeypatch.setattr(isolated_process, "_run_child", chatty)
    monkeypatch.setattr("sys.stdin", [json.dumps(str(packaged))] * 2)
    isolated_process.main(str(tmp_path / "rows"))
    lines = capfd.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith(isolated_process.LINE_PREFIX)] == [
        '{"number": 0}',
        '{"number": 1}',
    ]


def test_output_of_a_model_does_not_hide_its_result(rows, tmp_path, monkeypatch, capfd):
    def chatty(*_):
        # Without an end of the line.
        sys.stdout.write("loading…")
        return {"problem": "the file is broken"}

    monkeypatch.setattr(isolated_process, "measure_result", chatty)
    isolated_process._run_child(0, tmp_path, rows)
    results = [
        json.loads(line)
        for line in capfd.readouterr().out.splitlines()
        if line.startswith(isolated_process.LINE_PREFIX)
    ]
    with pytest.raises(ModelError, match="the file is broken"):
        isolated_process._measurement(results, 0)


def test_process_without_a_result_is_a_problem():
    with pytest.raises(ModelError, match="cannot predict in an isolated process: there is no result"):
        isolated_process._measurement([], 0)


def test_size_excludes_evidence_and_certificate(packaged):
    size = isolated_process.package_size(packaged)
    (packaged / "evidence").mkdir()
    (packaged / "evidence" / "roc.png").write_bytes(b"x" * 1_000)
    (packaged / "certificate.json").write_bytes(b"x" * 1_000)
    assert isolated_process.package_size(packaged) == size
