from __future__ import annotations

from dataclasses import replace

import pytest

from include.pseudonyms import pseudonym
from include.serving.model_server.logged_values import LoggedValues, logged_values_of
from tests.personal_columns import declare_personal


@pytest.fixture
def declare(home):
    def run(*names):
        declared = declare_personal(*names)
        selection = declared.features_of(declared.use_cases["flight_delay"])
        return replace(logged_values_of(selection), key="a key")

    return run


def test_personal_text_is_a_pseudonym_and_a_number_is_dropped(declare):
    logged = declare("flight_id", "carrier", "distance")
    rows = logged.rows([{"flight_id": "a", "carrier": "UA", "distance": 1.0, "hour": 6}])
    assert rows == [{"flight_id": pseudonym("a", "a key"), "carrier": pseudonym("UA", "a key"), "hour": 6}]
    assert logged.entity("a") == pseudonym("a", "a key")


def test_missing_values_stay_missing(declare):
    logged = declare("flight_id", "carrier")
    assert logged.rows([{"carrier": None}]) == [{"carrier": None}]
    assert logged.entity(None) is None


def test_columns_that_are_not_personal_are_logged_as_they_are(declare):
    logged = declare()
    assert logged.rows([{"carrier": "UA"}]) == [{"carrier": "UA"}]
    assert logged.entity("a") == "a"


def test_undeclared_use_case_has_no_personal_columns():
    assert logged_values_of(None) == LoggedValues()
