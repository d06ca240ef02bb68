from __future__ import annotations

import pickle

import numpy as np
import psutil
import pytest

from include.errors import DataError, ServiceUnavailable
from include.modeling import fresh
from include.modeling.packaging import digest, load
from include.use_cases.flight_delay import USE_CASE


@pytest.fixture
def rows(flights):
    return flights(days=3)[list(USE_CASE.features)]


def test_a_process_that_knows_nothing_of_the_training_answers_alike_and_says_what_it_took(packaged, rows):
    with fresh.asking(packaged, digest(packaged), rows) as answers:
        found = answers()
    expected = load(packaged, expected=digest(packaged)).predict(rows)
    assert np.array_equal(found.predictions, expected)
    assert 0 < found.latency_p50_ms <= found.latency_p99_ms
    assert found.memory_mb > 50
    assert found.size_mb == pytest.approx(fresh.size_of(packaged) / 1e6)


def test_files_that_somebody_exchanged_are_not_loaded(packaged, rows):
    expected = digest(packaged)
    (packaged / "golden.json").write_text("{}")
    with fresh.asking(packaged, expected, rows) as answers, pytest.raises(DataError, match="exchanged"):
        answers()


def test_rows_that_the_model_cannot_answer_are_told_with_its_own_words(packaged, rows):
    with (
        fresh.asking(packaged, digest(packaged), rows.drop(columns="hour")) as answers,
        pytest.raises(DataError, match=r"a fresh process cannot answer: KeyError.*hour"),
    ):
        answers()


def test_a_machine_too_busy_to_answer_is_an_accident_and_leaves_no_process(packaged, rows, monkeypatch):
    monkeypatch.setattr(fresh, "PATIENCE", 0.01)
    others = psutil.Process().children()  # the servers of the session
    with fresh.asking(packaged, digest(packaged), rows) as answers:
        with pytest.raises(ServiceUnavailable, match="too busy"):
            answers()
        (child,) = (each for each in psutil.Process().children() if each not in others)
    assert not child.is_running()


def test_evidence_and_certificate_are_no_part_of_the_size(packaged):
    before = fresh.size_of(packaged)
    (packaged / "evidence").mkdir()
    (packaged / "evidence" / "roc.png").write_bytes(b"x" * 1_000)
    (packaged / "certificate.json").write_bytes(b"x" * 1_000)
    assert fresh.size_of(packaged) == before


def test_rows_travel_with_their_types(rows, packaged, tmp_path):
    (tmp_path / "rows").write_bytes(pickle.dumps(rows))
    found = fresh.main(str(packaged), digest(packaged), str(tmp_path / "rows"))
    assert len(found["predictions"]) == len(rows)
