"""Operator of a person's decisions about a use case at any time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airworthy import run_context
from airworthy.operators.base import ReleaseOperator
from include.catalog import catalog
from include.declarations import Fallback

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

SWITCH_OFF = "switch off"


class ReleaseControlOperator(ReleaseOperator):
    """
    Switch a use case off or on, freeze or lift its releases, or pause, resume, skip or abort a rollout.

    The decision is written to the ledger with the person who triggered the run.

    Example::

        ReleaseControlOperator(task_id="control", use_case="flight_delay", action="freeze", reason="holidays")

    :param use_case: a declared use case
    :param action: a key of `include.release.controls.ACTIONS`, or `switch off` (templated)
    :param reason: reason for the ledger and for callers (templated)
    :param fallback: what callers get while the use case is off, such as `constant:0.2`; empty for what is
        declared (templated)
    """

    template_fields: Sequence[str] = ("use_case", "action", "reason", "fallback")

    def __init__(self, *, action: str, reason: str, fallback: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.action = action
        self.reason = reason
        self.fallback = fallback

    def execute(self, context: Context) -> str:
        """Carry out the action and return it."""
        from include.release import controls

        actor = run_context.actor(context)
        if self.action == SWITCH_OFF:
            use_case = catalog().use_cases[self.use_case]
            fallback = Fallback.parse(self.fallback) if self.fallback else use_case.serving.fallback
            use_case.check_fallback(fallback)
            controls.switch_off(self.engine, self.use_case, fallback, actor=actor, reason=self.reason)
        else:
            controls.ACTIONS[self.action](self.engine, self.use_case, actor=actor, reason=self.reason)
        self.show_aliases()
        self.log.info("%s: %s: %s", self.use_case, self.action, self.reason)
        return self.action
