from __future__ import annotations

from unittest.mock import create_autospec

import pytest

from include.errors import ServiceUnavailable
from include.release.rollout import ReleaseState
from include.release.targets.protocol import Served, Target
from include.serving.controller.desired_state import LiveState
from include.serving.controller.remote_target import RemoteTarget

STATE = ReleaseState("delay", champion=1, generation=7)


@pytest.fixture
def target():
    built = create_autospec(Target, instance=True)
    built.route.side_effect = lambda states: {
        state.use_case: Served(True, {"champion": state.champion}) for state in states
    }
    return built


def test_a_report_has_the_generation_that_was_carried_out(target, wait_for) -> None:
    remote = RemoteTarget(target)
    remote.set_desired([])
    assert remote._thread is None
    remote.set_desired([STATE])
    wait_for(lambda: bool(remote.reports))
    assert remote.reports == {"delay": LiveState(7, True, {"champion": 1})}
    newer = ReleaseState("delay", champion=2, generation=8)
    remote.set_desired([newer])
    wait_for(lambda: remote.reports["delay"].generation == 8)
    remote.set_desired([])
    wait_for(lambda: not remote.reports)


def test_a_target_that_fails_is_asked_again(target) -> None:
    remote = RemoteTarget(target)
    remote._states = [STATE]
    target.stage.side_effect = ServiceUnavailable("AWS does not answer")
    remote.reconcile()
    assert remote.reports == {}
    target.stage.side_effect = None
    target.retire.side_effect = ServiceUnavailable("AWS does not answer")
    remote.reconcile()
    assert remote.reports["delay"].ready
