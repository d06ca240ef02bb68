from __future__ import annotations

import pytest

from include.declarations import SignatureCompatibility
from tests.include.modeling.gates.conftest import COLUMNS, Model, sound

GATE = SignatureCompatibility()


def before(**columns):
    """Return a champion with other columns; None is one that it does not have."""
    changed = {name: kind for name, kind in (COLUMNS | columns).items() if kind is not None}
    champion = Model(lambda rows: [0.5] * len(rows), columns=changed)
    champion.predict = lambda frame: sound(frame)
    return champion


@pytest.mark.parametrize(
    ("champion", "words"),
    [
        (before(visib="double"), "visib is not taken any more"),
        (before(temp=None), "temp is asked for now"),
        (before(hour="double"), "hour was double, and has to be long now"),
        (before(hour="string"), "hour was string, and has to be long now"),
    ],
    ids=["gone", "new", "narrower", "other"],
)
def test_what_callers_would_be_refused_for_is_named(verdict_of, champion, words):
    found = verdict_of(GATE, champion=champion)
    assert (found.outcome, words in found.reason) == ("fail", True)
    assert "champion 3" in found.reason


@pytest.mark.parametrize(
    "champion",
    [before(), before(hour="integer"), before(temp="float"), before(temp="long")],
    ids=["same", "wider whole numbers", "wider numbers", "any number"],
)
def test_callers_that_can_go_on_do_not_notice(verdict_of, champion):
    assert verdict_of(GATE, champion=champion).outcome == "pass"


def test_another_kind_of_answer_is_a_break(verdict_of):
    champion = before()
    champion.task = "regression"
    assert "the answer was that of a regression" in verdict_of(GATE, champion=champion).reason


def test_other_classes_are_a_break(verdict_of):
    champion = before()
    champion.classes = ("early", "late")
    assert "the answer had the classes early, late" in verdict_of(GATE, champion=champion).reason


def test_the_first_model_has_no_callers(verdict_of):
    assert verdict_of(GATE).outcome == "pass"
