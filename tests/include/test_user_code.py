from __future__ import annotations

import json
from pathlib import Path

import pytest

from include.errors import DataError, TrainingFailed
from include.user_code import describe_location, team_errors


def broken(frame):
    return frame["biker"]


def test_error_of_a_team_names_file_line_and_function():
    line = broken.__code__.co_firstlineno + 1
    where = rf"\(.*test_user_code.py, line {line}, in broken\)"
    message = rf"rides: build\(\) of 2013-07-01 failed: KeyError: 'biker' {where}"
    with (
        pytest.raises(DataError, match=message + r"\. Correct it\."),
        team_errors("rides: build() of 2013-07-01", remedy="Correct it.", error=DataError),
    ):
        broken({})


def test_exit_of_a_team_is_an_error_of_its_code():
    with (
        pytest.raises(DataError, match=r"rides failed: SystemExit: 3 .*\. Correct it\."),
        team_errors("rides", remedy="Correct it.", error=DataError),
    ):
        raise SystemExit(3)


def test_line_of_a_library_is_not_that_of_the_team():
    with pytest.raises(json.JSONDecodeError) as caught:
        json.loads("{")
    assert f"{Path(__file__).name}, line" in describe_location(caught.value)
    assert "decoder" not in describe_location(caught.value)


@pytest.mark.parametrize("error", [MemoryError("9 GiB"), ConnectionError("reset"), DataError("no rows")])
def test_accidents_and_own_errors_pass_unchanged(error):
    with (
        pytest.raises(type(error)) as caught,
        team_errors("rides: build()", remedy="Correct it.", error=TrainingFailed),
    ):
        raise error
    assert caught.value is error
