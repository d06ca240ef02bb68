from __future__ import annotations

import pytest

from include.errors import GateFailed
from include.modeling.candidate import TrainedCandidate
from include.modeling.certification import require
from include.modeling.gates import Verdict

CANDIDATE = TrainedCandidate("flight_delay", "run", "model", "digest")


def verdict(outcome, severity="block"):
    return Verdict("improvement_log_loss", outcome, severity, "gains +0.001", {})


def test_what_every_blocking_gate_let_pass_goes_on():
    require(CANDIDATE, [verdict("pass"), verdict("fail", "warn"), verdict("inconclusive", "info")])


@pytest.mark.parametrize("outcome", ["fail", "inconclusive"])
def test_what_a_blocking_gate_did_not_let_pass_is_refused_with_its_reason(outcome):
    with pytest.raises(GateFailed, match=f"improvement_log_loss: {outcome}: gains"):
        require(CANDIDATE, [verdict("pass"), verdict(outcome)])
