"""A target that is slow to answer: reconciled by a thread of its own, so that the others do not wait."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from include.errors import AirworthyError
from include.serving.controller.desired_state import LiveState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from include.release.rollout import ReleaseState
    from include.release.targets.protocol import Target

POLL_INTERVAL_S = 5.0
_log = logging.getLogger(__name__)


class RemoteTarget:
    """
    Reconciles a target with the newest desired states, at once after a change and then every 5 s.

    `reports` are those of the last pass, with the generation that it worked for.
    """

    def __init__(self, target: Target) -> None:
        self.reports: Mapping[str, LiveState] = {}
        self._target = target
        self._states: Sequence[ReleaseState] = ()
        self._changed = threading.Event()
        self._thread: threading.Thread | None = None

    def set_desired(self, states: Sequence[ReleaseState]) -> None:
        """Set the desired states; the thread is started with the first one."""
        if list(states) != list(self._states):
            self._states = list(states)
            self._changed.set()
        # An unexpected error ends the thread; the next one begins with a pause.
        if self._states and (self._thread is None or not self._thread.is_alive()):
            self._thread = threading.Thread(target=self._run, name="remote-target", daemon=True)
            self._thread.start()

    def reconcile(self) -> None:
        """Go one step towards the desired states."""
        states = self._states
        try:
            self._target.stage(states)
            served = self._target.route(states)
            self.reports = {
                state.use_case: LiveState(
                    state.generation, served[state.use_case].ready, served[state.use_case].detail
                )
                for state in states
            }
            self._target.retire(states)
        except AirworthyError as error:
            _log.warning("%s", error)

    def _run(self) -> None:
        while True:
            self._changed.wait(POLL_INTERVAL_S)
            self._changed.clear()
            self.reconcile()
