from __future__ import annotations

from threading import Barrier
from unittest.mock import create_autospec

import pytest

from include.credentials import Credentials
from include.settings import settings
from include.stack.embedded import health
from include.stack.embedded.supervision import ProgramState


def states_of(*names):
    return [ProgramState(name, "RUNNING", 1, 0.0, "") for name in names]


@pytest.fixture
def credentials():
    return create_autospec(Credentials, instance=True)


def test_programs_are_checked_at_the_same_time(monkeypatch, credentials):
    both = Barrier(2, timeout=10)

    def check(state, settings, credentials):
        both.wait()
        return f"{state.name} starts"

    monkeypatch.setattr(health, "problem", check)
    problems = health.problems(states_of("mlflow", "api-server"), settings(), credentials)
    assert problems == {"mlflow": "mlflow starts", "api-server": "api-server starts"}


def test_check_that_fails_is_raised(monkeypatch, credentials):
    monkeypatch.setattr(health, "problem", create_autospec(health.problem, side_effect=ValueError("broken")))
    with pytest.raises(ValueError, match="broken"):
        health.problems(states_of("mlflow"), settings(), credentials)
    assert health.problems([], settings(), credentials) == {}
