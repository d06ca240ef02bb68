from __future__ import annotations

from include.catalog import catalog
from include.governance.search import Match, search_declarations


def test_search_names_the_texts_with_the_words():
    matches = search_declarations(catalog().datasets.values(), "SCHEDULED miles")
    assert {match.name for match in matches} == {"flights"}
    assert Match("flights", "column", "distance: miles") in matches
    assert Match("flights", "column", "scheduled_departure") in matches


def test_search_needs_every_word():
    assert search_declarations(catalog().datasets.values(), "miles submarine") == []


def test_search_in_models_finds_features():
    matches = search_declarations(catalog().use_cases.values(), "humid")
    assert matches == [Match("flight_delay", "feature", "humidity")]
