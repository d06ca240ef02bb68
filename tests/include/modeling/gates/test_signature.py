from __future__ import annotations

import pytest

from include.declarations import SignatureCompatibility
from tests.include.modeling.gates.conftest import COLUMNS, Model, sound

GATE = SignatureCompatibility()


def champion_with(**columns):
    """Return a champion with changed columns; None removes one."""
    changed = {name: kind for name, kind in (COLUMNS | columns).items() if kind is not None}
    champion = Model(lambda rows: [0.5] * len(rows), columns=changed)
    champion.predict = lambda frame: sound(frame)
    return champion


@pytest.mark.parametrize(
    ("champion", "words"),
    [
        (champion_with(visib="double"), "visib is not accepted any more"),
        (champion_with(temp=None), "temp is required now"),
        (champion_with(hour="double"), "hour was double, and has to be long now"),
        (champion_with(hour="string"), "hour was string, and has to be long now"),
    ],
    ids=["missing", "new", "narrower", "other"],
)
def test_difference_that_refuses_callers_is_named(verdict_of, champion, words):
    verdict = verdict_of(GATE, champion=champion)
    assert (verdict.outcome, words in verdict.reason) == ("fail", True)
    assert "champion 3" in verdict.reason


@pytest.mark.parametrize(
    ("former", "states_missing", "outcome"),
    [("double?", True, "fail"), ("double?", False, "pass"), ("double", True, "pass")],
)
def test_value_that_could_be_missing_still_may(verdict_of, former, states_missing, outcome):
    champion = champion_with(temp=former)
    champion.interface.states_missing = states_missing
    verdict = verdict_of(GATE, champion=champion)
    assert verdict.outcome == outcome
    assert ("temp may not be missing any more" in verdict.reason) is (outcome == "fail")


@pytest.mark.parametrize(
    "champion",
    [champion_with(), champion_with(hour="integer"), champion_with(temp="float"), champion_with(temp="long")],
    ids=["same", "wider whole numbers", "wider numbers", "any number"],
)
def test_columns_that_accept_all_requests_pass(verdict_of, champion):
    assert verdict_of(GATE, champion=champion).outcome == "pass"


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("task", "regression", "the prediction was that of a regression"),
        ("classes", ("early", "late"), "the prediction had the classes early, late"),
        ("positive", "above 30", "the prediction was the probability of above 30, not of above 15"),
    ],
)
def test_other_prediction_is_for_a_person(verdict_of, field, value, words):
    champion = champion_with()
    setattr(champion, field, value)
    verdict = verdict_of(GATE, champion=champion)
    assert (verdict.outcome, words in verdict.reason) == ("inconclusive", True)


def test_refusal_names_the_way(verdict_of):
    reason = verdict_of(GATE, champion=champion_with(temp=None)).reason
    assert "Declare a new feature nullable" in reason
    assert 'SignatureCompatibility(severity="warn")' in reason


def test_first_model_passes(verdict_of):
    assert verdict_of(GATE).outcome == "pass"
