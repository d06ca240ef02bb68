from __future__ import annotations

import pytest

from include.declarations import Budget
from tests.include.modeling.gates.conftest import Model, parity_predictions, process_measurement, sound

MODEST = Budget(maximum_latency_ms=10, maximum_size_mb=5, maximum_memory_mb=500)


@pytest.mark.parametrize(
    ("exceeded", "words"),
    [
        ({"latency_p99_ms": 11.0}, "99 % of single rows within 11 ms, 10 ms allowed"),
        ({"size_mb": 500.0}, "the model's files take 500 MB, 5 MB allowed"),
        ({"memory_mb": 501.0}, "a process with the model takes 501 MB, 500 MB allowed"),
    ],
)
def test_cost_above_its_limit_is_named(verdict_of, exceeded, words):
    verdict = verdict_of(MODEST, isolated=process_measurement(parity_predictions(), **exceeded))
    assert (verdict.outcome, verdict.reason) == ("fail", words)


def test_cost_at_its_limit_passes(verdict_of):
    at_limit = process_measurement(parity_predictions(), latency_p99_ms=10.0, size_mb=5.0, memory_mb=500.0)
    assert verdict_of(MODEST, isolated=at_limit).outcome == "pass"


@pytest.mark.parametrize(("latency", "outcome"), [(4.0, "pass"), (4.1, "fail")])
def test_latency_ratio_to_the_champion_is_limited(verdict_of, latency, outcome):
    gate = Budget(maximum_latency_ratio=2, maximum_size_ratio=2, maximum_memory_ratio=2)
    verdict = verdict_of(
        gate,
        champion=Model(sound, isolated=process_measurement([])),
        isolated=process_measurement(parity_predictions(), latency_p50_ms=latency),
    )
    assert verdict.outcome == outcome


def test_first_model_has_no_champion_to_compare_with(verdict_of):
    verdict = verdict_of(Budget(maximum_size_ratio=2), isolated=process_measurement(parity_predictions()))
    assert (verdict.outcome, verdict.reason) == ("pass", "there is no champion yet to compare with")
