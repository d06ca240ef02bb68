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

from include.errors import DataError, ServiceUnavailable
from include.modeling.evaluation import isolated_process
from include.modeling.packaging.package import load_package, model_digest
from include.use_cases.flight_delay import USE_CASE


@pytest.fixture
def rows(flights):
    return flights(days=3)[list(USE_CASE.features)]


def test_a_process_that_knows_nothing_of_the_training_answers_alike_and_says_what_it_took(packaged, rows):
    expected_digest, ballast = model_digest(packaged), np.ones(60_000_000)  # of the caller's memory: 480 MB
    with isolated_process.isolated_predictor(rows) as ask:
        answers, exchanged = ask(packaged, expected_digest), ask(packaged, "of other files")
        found = answers()
        with pytest.raises(DataError, match=r"a fresh process cannot answer: .*exchanged"):
            exchanged()
    expected = load_package(packaged, expected=expected_digest).predict(rows)
    assert np.array_equal(found.predictions, expected)
    assert 0 < found.latency_p50_ms <= found.latency_p99_ms
    assert 50 < found.memory_mb < ballast.nbytes / 1e6
    assert found.size_mb == pytest.approx(isolated_process.size_of(packaged) / 1e6)


def test_rows_that_the_model_cannot_answer_are_told_with_its_own_words(packaged, rows):
    found = isolated_process.measure_model(packaged, model_digest(packaged), rows.drop(columns="hour"))
    assert found["problem"].startswith("KeyError")
    assert "hour" in found["problem"]


def test_memory_that_runs_out_is_an_accident_and_no_fault_of_the_package(packaged, rows, monkeypatch):
    def greedy(_):
        raise MemoryError("Unable to allocate 9 GiB")

    monkeypatch.setattr(isolated_process.loading, "load_unverified", greedy)
    found = isolated_process.measure_model(packaged, model_digest(packaged), rows)
    assert "a fresh process was cut short: MemoryError" in found["accident"]


@pytest.mark.parametrize(
    ("signal_", "error"), [(signal.SIGKILL, ServiceUnavailable), (signal.SIGSEGV, DataError)]
)
def test_a_process_that_was_killed_is_an_accident_and_one_that_crashes_is_not(
    rows, monkeypatch, tmp_path, capfd, signal_, error
):
    def end(*_):
        faulthandler.disable()
        os.kill(os.getpid(), signal_)

    monkeypatch.setattr(isolated_process, "measure_model", end)
    isolated_process._run_child(0, tmp_path, "", rows)
    said = json.loads(capfd.readouterr().out)
    with pytest.raises(error, match=f"it ended with -{signal_.value}"):
        isolated_process._answers([said], 0)


def test_a_machine_too_busy_to_answer_is_an_accident_and_leaves_no_process(packaged, rows, monkeypatch):
    monkeypatch.setattr(isolated_process, "TIMEOUT_S", 0.01)
    others = psutil.Process().children()  # the servers of the session
    with isolated_process.isolated_predictor(rows) as ask:
        with pytest.raises(ServiceUnavailable, match="too busy"):
            ask(packaged, model_digest(packaged))()
        (child,) = (each for each in psutil.Process().children() if each not in others)
    assert not child.is_running()


def test_a_process_that_cannot_begin_is_an_accident(packaged, rows, monkeypatch):
    monkeypatch.setattr(isolated_process, "PROJECT", packaged)  # where there is no module to run
    with (
        isolated_process.isolated_predictor(rows) as ask,
        pytest.raises(ServiceUnavailable, match=r"could not begin: .*include"),
    ):
        ask(packaged, model_digest(packaged))()


def test_what_a_model_prints_is_no_answer(packaged, rows, tmp_path, monkeypatch, capfd):
    (tmp_path / "rows").write_bytes(pickle.dumps(rows))

    def chatty(number, *_):
        sys.stdout.write(f'{{"progress": 1}}\n{json.dumps({"number": number})}\n')

    monkeypatch.setattr(isolated_process, "_run_child", chatty)
    monkeypatch.setattr("sys.stdin", [json.dumps([str(packaged), "digest"])] * 2)
    isolated_process.main(str(tmp_path / "rows"))
    lines = capfd.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith(isolated_process.LINE_PREFIX)] == [
        '{"number": 0}',
        '{"number": 1}',
    ]


def test_what_a_model_prints_does_not_hide_its_answer(rows, tmp_path, monkeypatch, capfd):
    def chatty(*_):
        sys.stdout.write("loading…")  # and no end of the line
        return {"problem": "no answer today"}

    monkeypatch.setattr(isolated_process, "measure_model", chatty)
    isolated_process._run_child(0, tmp_path, "", rows)
    said = [
        json.loads(line)
        for line in capfd.readouterr().out.splitlines()
        if line.startswith(isolated_process.LINE_PREFIX)
    ]
    with pytest.raises(DataError, match="no answer today"):
        isolated_process._answers(said, 0)


def test_a_model_whose_process_says_nothing_has_no_answers():
    with pytest.raises(DataError, match="a fresh process cannot answer: it said nothing"):
        isolated_process._answers([], 0)


def test_evidence_and_certificate_are_no_part_of_the_size(packaged):
    before = isolated_process.size_of(packaged)
    (packaged / "evidence").mkdir()
    (packaged / "evidence" / "roc.png").write_bytes(b"x" * 1_000)
    (packaged / "certificate.json").write_bytes(b"x" * 1_000)
    assert isolated_process.size_of(packaged) == before
