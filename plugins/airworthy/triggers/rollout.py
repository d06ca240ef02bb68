"""Trigger that waits for a step of a rollout without occupying a worker."""

from __future__ import annotations

import asyncio
import math
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow.sdk import BaseHook
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airworthy.hooks.lake import LakeHook, lake_of
from airworthy.triggers.rollout_losses import LABELS_INTERVAL_S, LossReader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from sqlalchemy import Connection, Engine

    from include.catalog import Catalog
    from include.declarations import UseCase
    from include.release.analysis import AnalysisOutcome, RolloutStage
    from include.release.rollout_status import RolloutStatus

    ReadCatalog = Callable[[], Catalog]

POLL_INTERVAL_S = 0.5
# Used while a worker waits for the result.
BUSY_POLL_INTERVAL_S = 0.05
# The task's log says so often what a step still needs.
LOG_INTERVAL_S = 10.0
# A declaration that is invalid for longer is not just being written.
INVALID_TIMEOUT_S = 60.0


class Limits(NamedTuple):
    """Seconds after which a step ends in any case, and seconds that it must stay live."""

    timeout: float
    bake: float


class Reading(NamedTuple):
    """Status and analysis of a step, seconds since its start and since it is live, and what a person said."""

    status: RolloutStatus
    outcome: AnalysisOutcome
    finding: str
    waited_s: float
    baked_s: float
    paused: bool = False
    skipped: bool = False


class RolloutTrigger(BaseTrigger):
    """
    Fire once the desired state is live, the bake time is over, and the analysis of `stage` has an outcome.

    The trigger fires at once if the analysis says `roll_back`, or a person skips the step or ends the
    rollout, and after its timeout in any case; a paused step neither passes nor times out. The event
    is the rollout status as a dictionary: `live`, `reason`, `address`; with a stage also `outcome`, which is
    `inconclusive` after a timeout, and `finding`, the analysis in words. Bake time, patience and limits of a
    stage are those of the present declaration, so that a changed rollout is seen while the trigger waits.
    Both are measured from `since` and from when the state became live. How long ago these are is asked of the
    database's clock once, so that a restart of the triggerer changes neither, and a clock that is set later
    ends neither early.

    :param use_case: a declared use case
    :param version: version whose model server is awaited
    :param since: start of the step in ISO 8601; earlier requests are not analysed
    :param airworthy_conn_id: connection of the airworthy database
    :param stage: `shadow` or `canary` to analyse the challenger; None only waits until the state is live
    :param timeout: without a stage, seconds after which the trigger fires with the current status
    :param lake_conn_id: connection of the lake, whose labels are joined where they have landed
    """

    def __init__(
        self,
        use_case: str,
        version: int,
        since: str,
        airworthy_conn_id: str,
        stage: RolloutStage | None = None,
        timeout: float = 0.0,
        lake_conn_id: str = LakeHook.default_conn_name,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.use_case = use_case
        self.version = version
        self.since = since
        self.airworthy_conn_id = airworthy_conn_id
        self.stage = stage
        self.timeout = timeout
        self.lake_conn_id = lake_conn_id
        self._losses = LossReader(None)
        # Moments of the database's clock, by this process's clock.
        self._moments: dict[datetime, float] = {}

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the import path and the arguments from which the triggerer builds this trigger again."""
        names = ("use_case", "version", "since", "airworthy_conn_id", "stage", "timeout", "lake_conn_id")
        return f"{__name__}.{type(self).__name__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll the database twice a second and yield one event."""
        from airworthy.hooks.airworthy_database import url_of
        from include.catalog import refresh_catalog
        from include.database.tables import connect

        engine = connect(url_of(await BaseHook.aget_connection(self.airworthy_conn_id)))
        if self.stage:
            lake = lake_of(await BaseHook.aget_connection(self.lake_conn_id))
            self._losses = LossReader(lake, LABELS_INTERVAL_S)
        try:
            event, _ = await self._poll(engine, refresh_catalog, POLL_INTERVAL_S)
            yield TriggerEvent(event)
        finally:
            engine.dispose()

    def wait_inline(self, engine: Engine, seconds: float) -> dict[str, Any] | None:
        """
        Return the event if it comes within `seconds`, else None.

        Waiting for a moment costs a worker less than deferring: a deferred task waits for several loops of
        the triggerer and then starts a second time.
        """
        from include.catalog import catalog

        if self._limits(self._find_use_case(catalog)).bake > seconds:
            return None
        poll = self._poll(engine, catalog, BUSY_POLL_INTERVAL_S, at_most=seconds)
        event, settled = asyncio.run(poll)
        return event if settled else None

    async def _poll(
        self, engine: Engine, read_catalog: ReadCatalog, interval: float, *, at_most: float = math.inf
    ) -> tuple[dict[str, Any], bool]:
        """Return the event, with True once the step is settled or False after the timeout or `at_most` s."""
        started = time.monotonic()
        patient_until = 0.0
        use_case: UseCase | None = None
        last_log = -math.inf
        while True:
            use_case = self._find_use_case(read_catalog) or use_case
            limits = self._limits(use_case)
            reading = await asyncio.to_thread(self._read_status, engine, use_case)
            moment = time.monotonic()
            # A triggerer that was away finds a step that is settled, whatever the clock says.
            passed = reading.baked_s >= limits.bake and reading.outcome == "promote"
            settled = reading.outcome == "roll_back" or reading.skipped or (passed and not reading.paused)
            waited = reading.waited_s if self.stage else moment - started
            # The time of a pause is not counted.
            patient_until = moment + limits.timeout if reading.paused else patient_until
            out_of_patience = waited > limits.timeout and moment > patient_until
            if settled or out_of_patience or moment - started > at_most:
                return self._event(reading, settled=settled), settled
            if self.stage and at_most == math.inf and moment - last_log >= LOG_INTERVAL_S:
                last_log = moment
                self.log.info("%s version %d waits: %s", self.use_case, self.version, reading.finding)
            await asyncio.sleep(interval)

    def _event(self, reading: Reading, *, settled: bool) -> dict[str, Any]:
        status = reading.status
        event: dict[str, Any] = {"live": status.live, "reason": status.reason, "address": status.address}
        if self.stage is None:
            return event
        finding = reading.finding
        if reading.outcome == "promote" and not settled:
            finding = f"the challenger was not live for its bake time: {reading.baked_s:.0f} s ({finding})"
        return event | {"outcome": reading.outcome if settled else "inconclusive", "finding": finding}

    def _find_use_case(self, read_catalog: ReadCatalog) -> UseCase | None:
        """Return the declaration; None if no stage needs it, or while its file is invalid."""
        return read_catalog().use_cases.get(self.use_case) if self.stage else None

    def _limits(self, use_case: UseCase | None) -> Limits:
        if use_case is None:
            return Limits(INVALID_TIMEOUT_S if self.stage else self.timeout, 0.0)
        policy = use_case.rollout
        return Limits(policy.patience.total_seconds(), policy.bake.total_seconds())

    def _read_status(self, engine: Engine, use_case: UseCase | None) -> Reading:
        from include.release.rollout_status import (
            RolloutStatus,
            analyse_stage,
            read_rollout_status,
            read_steering,
        )

        since = datetime.fromisoformat(self.since)
        with engine.connect() as connection:
            waited_s = self._seconds_since(connection, since)
            steering = read_steering(connection, self.use_case, self.version)
            if steering.ended:
                status = RolloutStatus(False, steering.ended, None)
                return Reading(status, "roll_back", steering.ended, waited_s, 0.0)
            status = read_rollout_status(connection, self.use_case, self.version)
            live_s = self._seconds_since(connection, status.live_since) if status.live_since else 0.0
            baked_s = min(waited_s, live_s)
            outcome: AnalysisOutcome = "inconclusive"
            finding = status.reason
            if status.live and self.stage is None:
                outcome = "promote"
            elif status.live and use_case is None:
                finding = "its declaration is invalid"
            elif status.live and use_case is not None and self.stage is not None:
                losses = self._losses.read(connection, use_case, self.version)
                analysis = analyse_stage(
                    connection, use_case, self.version, since=since, stage=self.stage, losses=losses
                )
                outcome = analysis.outcome
                finding = analysis.reason
        times = (waited_s, baked_s if status.live else 0.0)
        return Reading(status, outcome, finding, *times, steering.paused, steering.skipped)

    def _seconds_since(self, connection: Connection, moment: datetime) -> float:
        from include.release.rollout_status import seconds_since

        if moment not in self._moments:
            self._moments[moment] = time.monotonic() - seconds_since(connection, moment)
        return time.monotonic() - self._moments[moment]
