from __future__ import annotations

import pytest

from include.declarations import FinalRefit, Training
from include.errors import SettingsError
from include.modeling.evaluation.evidence import Gain
from include.modeling.pipeline.refit import Refit, judge_gain
from include.modeling.pipeline.workspace import TrainedCandidate
from include.use_cases.flight_delay import USE_CASE

REFITTED = USE_CASE.model_copy(update={"training": Training(final_refit=FinalRefit(margin=0.01))})


def gain(value, lower, upper, units=14):
    return Gain("log_loss", value, lower, upper, 0.95, units, "paired bootstrap")


@pytest.mark.parametrize(
    ("estimated", "outcome"),
    [
        (gain(0.002, -0.009, 0.01), "pass"),
        (gain(0.002, -0.01, 0.01), "pass"),
        (gain(0.002, -0.02, 0.01), "inconclusive"),
        (gain(-0.05, -0.09, -0.02), "fail"),
        (gain(0.05, 0.04, 0.06, units=3), "inconclusive"),
    ],
)
def test_refit_is_judged_by_its_lower_bound_and_margin(estimated, outcome):
    verdict = judge_gain(REFITTED, estimated)
    assert verdict.outcome == outcome
    # It never stops a candidate that passed its gates.
    assert verdict.severity != "block"
    assert ("the candidate is registered as it is" in verdict.reason) == (outcome != "pass")


def test_refit_without_a_declaration_is_an_error():
    with pytest.raises(SettingsError, match=r"flight_delay declares no training\.final_refit"):
        judge_gain(USE_CASE, gain(0, 0, 0))


def test_result_is_read_as_it_was_written():
    verdict = judge_gain(REFITTED, gain(0.002, -0.009, 0.01))
    result = Refit(TrainedCandidate("flight_delay", "r", "m", "d"), (verdict,), {"rounds": 3})
    assert Refit.from_json(result.to_json()) == result
