from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.modeling.evaluation.alpha_spending import spent_confidence, spent_share


def test_shares_of_all_attempts_add_up_to_one():
    assert sum(map(spent_share, range(1, 100_000))) == pytest.approx(1, abs=0.05)
    assert sum(map(spent_share, range(1, 100_000))) < 1


def test_first_attempts_have_the_largest_shares():
    assert [round(spent_share(attempt), 3) for attempt in (1, 2, 3)] == [0.493, 0.131, 0.062]


@given(attempt=st.integers(1, 10_000), confidence=st.floats(0.5, 0.999))
def test_later_attempts_need_more_confidence(attempt, confidence):
    assert confidence < spent_confidence(confidence, attempt) < spent_confidence(confidence, attempt + 1) < 1
