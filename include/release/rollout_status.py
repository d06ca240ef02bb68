"""Status of a rollout step: is the desired state live, and how does the challenger compare so far."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from include.database.tables import ledger, live_state
from include.release import analysis, rollout
from include.release.analysis.observations import StepWindow, canary_start
from include.release.memory import find_growth
from include.release.targets.sagemaker import observe_endpoint

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from include.declarations import UseCase
    from include.release.analysis import Analysis, Losses, RolloutStage

# The memory of the last minutes of a step is compared with that of its first ones.
MEMORY_SPAN = timedelta(minutes=4)
# Events that end a rollout.
ENDINGS = ("aborted", "switched_off", "rolled_back", "retired", "restored")


@dataclass(frozen=True, slots=True)
class RolloutStatus:
    """
    What the controller reported of one version.

    `live` is True if the controller runs the desired state, `reason` says why not, and `address` is host and
    port of the version's model server. It has been live without a break since `live_since`.
    """

    live: bool
    reason: str
    address: str | None
    live_since: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Steering:
    """
    What a person has decided about the present step of a rollout.

    `ended` says why the version is neither challenger nor champion; it is empty while it is. A `paused` step
    does not end. A step that was `skipped` counts as passed.
    """

    ended: str = ""
    paused: bool = False
    skipped: bool = False


def read_steering(connection: Connection, use_case: str, version: int) -> Steering:
    """Return what a person has decided about the rollout of a version."""
    state = rollout.read_state(connection, use_case)
    if version not in {state.champion, state.challenger}:
        query = select(ledger.c.event, ledger.c.actor, ledger.c.reason).where(
            ledger.c.use_case == use_case, ledger.c.event.in_(ENDINGS)
        )
        row = connection.execute(query.order_by(ledger.c.id.desc()).limit(1)).first()
        return Steering(f"{row.event} by {row.actor}: {row.reason}" if row else "its rollout has ended")
    return Steering("", state.paused, state.skipped == state.generation)


def database_time(engine: Engine) -> datetime:
    """Return the time of the database's clock, which also stamps the inference log and the ledger."""
    with engine.connect() as connection:
        return _now(connection)


def step_start(engine: Engine, key: str) -> datetime | None:
    """Return when the step with this key of the ledger began; None if it has no entry."""
    with engine.connect() as connection:
        moment: datetime | None = connection.scalar(select(ledger.c.at).where(ledger.c.dedup_key == key))
    return moment


def read_rollout_status(connection: Connection, use_case: str, version: int) -> RolloutStatus:
    """Return whether the newest generation of the desired state is live, and the server of `version`."""
    generation = rollout.read_state(connection, use_case).generation
    row = connection.execute(select(live_state).where(live_state.c.use_case == use_case)).mappings().first()
    if row is None or row["generation"] != generation:
        reason = f"the controller has not reported generation {generation} of the desired state yet"
        return RolloutStatus(False, reason, None)
    server = row["detail"].get("servers", {}).get(str(version), {})
    reason = str(server.get("reason") or row["detail"].get("reason") or "")
    live = bool(row["ready"])
    reported = row["detail"].get("live_since")
    live_since = datetime.fromisoformat(reported) if reported else row["reported_at"]
    return RolloutStatus(live, reason, server.get("address"), live_since if live else None)


def seconds_since(connection: Connection, moment: datetime) -> float:
    """Return how many seconds ago a moment was, by the clock of the database."""
    return (_now(connection) - moment).total_seconds()


def analyse_stage(
    connection: Connection,
    use_case: UseCase,
    version: int,
    *,
    since: datetime,
    stage: RolloutStage,
    losses: Losses | None = None,
) -> Analysis:
    """
    Compare the challenger `version` with the champion by what the gateway logged from `since` on.

    Parameters
    ----------
    losses
        Losses by the labels that have landed, which another room reads.
    """
    state = rollout.read_state(connection, use_case.name)
    window = _window_of(connection, use_case, state, (version, since, stage))
    observe = analysis.observe if use_case.serving.target == "local" else observe_endpoint
    observation = observe(connection, use_case, state.champion, version, window=window)
    result = analysis.analyse(replace(observation, losses=losses), use_case.rollout, stage=stage)
    end = _now(connection)
    growth = find_growth(connection, use_case.name, start=since, end=end, span=MEMORY_SPAN, version=version)
    if growth:
        reason = growth if result.outcome != "roll_back" else f"{result.reason}; {growth}"
        return replace(result, outcome="roll_back", reason=reason)
    return result


def _window_of(
    connection: Connection,
    use_case: UseCase,
    state: rollout.ReleaseState,
    step: tuple[int, datetime, RolloutStage],
) -> StepWindow:
    version, since, stage = step
    seconds = seconds_since(connection, since)
    if stage == "shadow":
        return StepWindow(since, since, False, ("shadow", "replay"), seconds, state.shadow_share)
    origin = min(canary_start(connection, use_case.name, version) or since, since)
    share = state.weight / rollout.FULL_WEIGHT
    if not use_case.rollout.count_mirrored:
        return StepWindow(since, origin, True, (), seconds, share)
    mirrored = share + (1 - share) * state.shadow_share
    return StepWindow(since, origin, True, ("shadow",), seconds, mirrored)


def _now(connection: Connection) -> datetime:
    moment: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return moment
