"""Trigger that waits for a step of a rollout without occupying a worker."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook
from airflow.triggers.base import BaseTrigger, TriggerEvent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy import Engine

    from include.release.analysis import AnalysisOutcome, RolloutStage
    from include.release.rollout_status import RolloutStatus

POLL_INTERVAL_S = 0.5
# Used while a worker waits for the result.
BUSY_POLL_INTERVAL_S = 0.05


class RolloutTrigger(BaseTrigger):
    """
    Fire once the desired state is live, the bake time is over, and the analysis of `stage` has an outcome.

    The trigger fires at once if the analysis says `roll_back`, and after `timeout` seconds in any case. The
    event is the rollout status as a dictionary: `live`, `reason`, `address`.

    :param use_case: a declared use case
    :param version: version whose model server is awaited
    :param since: start of the step in ISO 8601; earlier requests are not analysed
    :param airworthy_conn_id: connection of the airworthy database
    :param timeout: seconds after which the trigger fires with the current status
    :param bake: seconds that the state must stay live
    :param stage: `shadow` or `canary` to analyse the challenger; None only waits until the state is live
    """

    def __init__(
        self,
        use_case: str,
        version: int,
        since: str,
        airworthy_conn_id: str,
        timeout: float,
        bake: float = 0.0,
        stage: RolloutStage | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.use_case = use_case
        self.version = version
        self.since = since
        self.airworthy_conn_id = airworthy_conn_id
        self.timeout = timeout
        self.bake = bake
        self.stage = stage

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the import path and the arguments from which the triggerer builds this trigger again."""
        names = ("use_case", "version", "since", "airworthy_conn_id", "timeout", "bake", "stage")
        return f"{__name__}.{type(self).__name__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll the database twice a second and yield one event."""
        from airworthy.hooks.airworthy_database import url_of
        from include.database.tables import connect

        engine = connect(url_of(await BaseHook.aget_connection(self.airworthy_conn_id)))
        try:
            status, _ = await self._poll(engine, self.timeout, POLL_INTERVAL_S)
            yield TriggerEvent(asdict(status))
        finally:
            engine.dispose()

    def wait_inline(self, engine: Engine, seconds: float) -> dict[str, Any] | None:
        """
        Return the event if it comes within `seconds`, else None.

        Waiting for a moment costs a worker less than deferring: a deferred task waits for several loops of
        the triggerer and then starts a second time.
        """
        if self.bake > seconds:
            return None
        timeout = min(seconds, self.timeout)
        status, settled = asyncio.run(self._poll(engine, timeout, BUSY_POLL_INTERVAL_S))
        return asdict(status) if settled else None

    async def _poll(self, engine: Engine, timeout: float, interval: float) -> tuple[RolloutStatus, bool]:
        """Return the status, with True once the step is settled or False after `timeout` seconds."""
        started = time.monotonic()
        live_since = None
        while True:
            status, outcome = await asyncio.to_thread(self._read_status, engine)
            moment = time.monotonic()
            live_since = (live_since or moment) if status.live else None
            baked = live_since is not None and moment - live_since >= self.bake
            settled = outcome == "roll_back" or (baked and outcome == "promote")
            if settled or moment - started > timeout:
                return status, settled
            await asyncio.sleep(interval)

    def _read_status(self, engine: Engine) -> tuple[RolloutStatus, AnalysisOutcome]:
        from include.catalog import catalog
        from include.release.rollout_status import analyse_stage, read_rollout_status

        with engine.connect() as connection:
            status = read_rollout_status(connection, self.use_case, self.version)
            if not status.live:
                return status, "inconclusive"
            if self.stage is None:
                return status, "promote"
            use_case = catalog().use_cases[self.use_case]
            since = datetime.fromisoformat(self.since)
            analysis = analyse_stage(connection, use_case, self.version, since=since, stage=self.stage)
        return status, analysis.outcome
