"""Watch a rollout without holding a worker."""

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
    from include.release.rollout_status import Progress

POLL_INTERVAL_S = 0.5
BUSY_POLL_S = 0.05  # seconds, for somebody who waits beside it


class RolloutTrigger(BaseTrigger):
    """
    Fires once the desired state is live, has baked, and, where there is a `stage` to judge, can be judged.

    A challenger that has to go back is not waited for. After `patience` seconds it fires as things are.
    """

    def __init__(
        self,
        use_case: str,
        version: int,
        since: str,
        airworthy_conn_id: str,
        patience: float,
        bake: float = 0.0,
        stage: RolloutStage | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.use_case = use_case
        self.version = version
        self.since = since
        self.airworthy_conn_id = airworthy_conn_id
        self.patience = patience
        self.bake = bake
        self.stage = stage

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what the triggerer needs to make this trigger again."""
        names = ("use_case", "version", "since", "airworthy_conn_id", "patience", "bake", "stage")
        return f"{__name__}.{type(self).__name__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Ask the database twice a second."""
        from airworthy.hooks.airworthy_database import url_of
        from include.database.tables import connect

        engine = connect(url_of(await BaseHook.aget_connection(self.airworthy_conn_id)))
        try:
            found, _ = await self._watch(engine, self.patience, POLL_INTERVAL_S)
            yield TriggerEvent(asdict(found))
        finally:
            engine.dispose()

    def at_once(self, engine: Engine, seconds: float) -> dict[str, Any] | None:
        """
        Return the event if it comes within `seconds`, else None.

        A deferred task sleeps through some seconds of the triggerer's loops and is started a second time,
        which takes more of a worker than to wait a moment.
        """
        if self.bake > seconds:
            return None
        found, settled = asyncio.run(self._watch(engine, min(seconds, self.patience), BUSY_POLL_S))
        return asdict(found) if settled else None

    async def _watch(self, engine: Engine, patience: float, pause: float) -> tuple[Progress, bool]:
        """Return how things are, True once there is nothing to wait for and False after `patience`."""
        started, live_since = time.monotonic(), None
        while True:
            found, outcome = await asyncio.to_thread(self._look, engine)
            moment = time.monotonic()
            live_since = (live_since or moment) if found.live else None
            baked = live_since is not None and moment - live_since >= self.bake
            settled = outcome == "roll_back" or (baked and outcome == "promote")
            if settled or moment - started > patience:
                return found, settled
            await asyncio.sleep(pause)

    def _look(self, engine: Engine) -> tuple[Progress, AnalysisOutcome]:
        from include.catalog import catalog
        from include.release.rollout_status import analyse_stage, progress

        with engine.connect() as connection:
            found = progress(connection, self.use_case, self.version)
            if self.stage is None or not found.live:
                return found, "promote" if found.live else "inconclusive"
            use_case, since = catalog().use_cases[self.use_case], datetime.fromisoformat(self.since)
            judgement = analyse_stage(connection, use_case, self.version, since=since, stage=self.stage)
        return found, judgement.outcome
