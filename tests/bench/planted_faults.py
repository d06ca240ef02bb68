"""Faults that are planted into a simulated service: how soon each is found, its name, and the decision."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from include.data.lake.delta_tables import Lake
from include.data.quality_gate import run_quality_gate
from include.declarations import Column, Dataset, FileSource
from tests.bench.database import temporary_database
from tests.bench.figures import Figure
from tests.bench.service_world import SERVICE_FAULTS, ServiceWorld
from tests.bench.world import FIRST, ROWS_PER_DAY, Timeline, World, chances, draw

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sqlalchemy import Engine

    from include.monitoring.governor import Decision
    from tests.bench.rig import Rig
    from tests.bench.world import Values

QUIET_DAYS = 2
SEEDS = 5
# Of those that are drawn, so many are retained, so that the share of delays is 65 %.
POOL_ROWS = 4_000
DELAYED_ROWS = 260
LATE = "late"


@dataclass(frozen=True, slots=True)
class Fault:
    """
    A fault, and what is promised: `name` in the decision, `action`, and both within `windows` windows.

    `why` says why the action is right. A window is a day.
    """

    title: str
    timeline: Timeline
    name: str
    action: str
    windows: int
    why: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What became of a fault: windows until it was named and until the decision, None if never.

    `windows`, `name`, `action` and `why` are promised. `text` is the last name. `early` are decisions before
    the fault, `other` those after it that are neither promised nor nothing.
    """

    title: str
    unit: str
    windows: int
    name: str
    action: str
    why: str
    named: int | None
    decided: int | None
    text: str
    early: tuple[str, ...] = ()
    other: tuple[str, ...] = field(default=())


def _damage(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Timeline:
    return Timeline(damage=lambda rows, number: change(rows) if number >= QUIET_DAYS else rows)


def _colder(random: np.random.Generator, day: date, number: int) -> pd.DataFrame:
    rows = draw(random, day)
    return rows.assign(temp=rows["temp"] - 6) if number >= QUIET_DAYS else rows


def _more_delays(random: np.random.Generator, day: date, number: int) -> pd.DataFrame:
    """Return rows of which 65 % are delayed; delayed rows, and the others, are what they always were."""
    rows = draw(random, day, ROWS_PER_DAY if number < QUIET_DAYS else POOL_ROWS)
    late = random.random(len(rows)) < chances(rows)
    if number >= QUIET_DAYS:
        chosen = np.concatenate(
            [np.flatnonzero(late)[:DELAYED_ROWS], np.flatnonzero(~late)[: ROWS_PER_DAY - DELAYED_ROWS]]
        )
        rows = rows.iloc[chosen].reset_index(drop=True)
        late = late[chosen]
    return rows.assign(flight_id=[f"{day}-{number}" for number in range(len(rows))], **{LATE: late})


def _reversed(rows: pd.DataFrame, number: int) -> Values:
    return chances(rows, of_temperature=1.0 if number < QUIET_DAYS else -1.0)


def _fading(rows: pd.DataFrame, number: int) -> Values:
    """A tenth of the effect is lost each day, then reversed."""
    return chances(rows, of_temperature=1.0 - 0.1 * max(number - QUIET_DAYS + 1, 0))


CORRECT = "the source is to be corrected; a model of faulty rows would be worse when it is"
FAULTS = (
    Fault(
        "unit change in one feature", _damage(lambda rows: rows.assign(temp=(rows["temp"] - 32) * 5 / 9)),
        "unit change", "alert", 2, CORRECT,
    ),
    Fault(
        "renamed category",
        _damage(lambda rows: rows.assign(carrier=rows["carrier"].replace("UA", "United"))),
        "renamed category", "alert", 2, CORRECT,
    ),
    Fault(
        "missing values (40 % of one feature)",
        _damage(lambda rows: rows.assign(temp=rows["temp"].where(rows.index % 5 > 1))),
        "missing values", "alert", 2, CORRECT,
    ),
    Fault("stuck sensor", _damage(lambda rows: rows.assign(temp=57.3)), "stuck", "alert", 2, CORRECT),
    Fault(
        "covariate shift without loss", Timeline(population=_colder), "covariate shift", "nothing", 1,
        "the model is as good as before: noted, no training",
    ),
    Fault(
        "label shift",
        Timeline(population=_more_delays, truth=lambda rows, _: rows[LATE].to_numpy(dtype=float)),
        "label shift", "retrain", 3, "new labels have the new shares",
    ),
    Fault(
        "concept drift, sudden", Timeline(truth=_reversed), "concept drift", "retrain", 3,
        "new labels show the new world",
    ),
    Fault(
        "concept drift, slow (a tenth of the effect a day)", Timeline(truth=_fading), "concept drift",
        "retrain", 12, "new labels show the new world",
    ),
    Fault(
        "labels stop coming", Timeline(labels=lambda number: number < QUIET_DAYS), "labels stopped coming",
        "alert", 2, "quality is not known any more; a person asks the sender",
    ),
)  # fmt: skip
FLIGHTS = Dataset(
    name="planted_flights",
    owner="bench",
    description="Rows that a sender may repeat.",
    source=FileSource(path="flights/{partition}.csv"),
    columns=(
        Column(name="flight_id", dtype="string"),
        Column(name="distance", dtype="number", minimum=0),
    ),
    key=("flight_id",),
    first_partition=FIRST,
)


def live_through(world: World, fault: Fault, first: date) -> Outcome:
    """Return what monitoring made of a fault that begins `QUIET_DAYS` after the first day."""
    world.begin(fault.title.replace(" ", "_").replace("%", ""))
    early = []
    named = None
    decided = None
    last = ""
    other = []
    for number in range(QUIET_DAYS + fault.windows):
        decision = world.live(fault.timeline, first + timedelta(days=number), number)
        window = number - QUIET_DAYS + 1
        if window < 1:
            early += [decision.action] if decision.action != "nothing" else []
            continue
        last = _name(decision)
        if named is None and fault.name in last:
            named = window
        if decided is None and fault.name in last and decision.action == fault.action:
            decided = window
            if fault.action != "nothing":
                break
        elif decision.action not in {"nothing", fault.action}:
            other.append(decision.action)
    promised = (fault.title, "day", fault.windows, fault.name, fault.action, fault.why)
    return Outcome(*promised, named, decided, last, tuple(early), tuple(other))


def _name(decision: Decision) -> str:
    """Return how a decision names what it found."""
    evidence = decision.evidence
    return evidence["data_fault"] or evidence["late_labels"] or ", ".join(evidence["causes"])


def ingest_duplicates(lake: Lake, database: Engine) -> Outcome:
    """Return what the ingestion makes of a partition in which one row of ten is sent again."""
    random = np.random.default_rng(0)
    early = []
    title = "duplicated upstream rows (one of ten)"
    for number in range(2):
        day = FIRST + timedelta(days=number)
        rows = draw(random, day)[["flight_id", "distance"]]
        if number:
            rows = pd.concat([rows, rows.head(ROWS_PER_DAY // 10)], ignore_index=True)
        rows = rows.assign(_airworthy_day=f"{day}")
        report = run_quality_gate(FLIGHTS, rows, [day], lake=lake, engine=database, run=f"bench/{number}")
        failed = [result for result in report.results if not result.success]
        if not number:
            early = ["refuse"] if failed else []
    text = "; ".join(f"{result.column}: {result.message}" for result in failed)
    name = next((result.expectation for result in failed), "")
    decided = None if report.passed else 1
    why = "nothing is published until the sender is asked; what is in the lake stays right"
    named = 1 if failed else None
    return Outcome(title, "partition", 1, name, "refuse", why, named, decided, text, tuple(early), other=())


def plant_all(folder: Path, database: Engine, seed: int = 0) -> list[Outcome]:
    """Return the outcome of each fault."""
    world = World(folder, database, seed)
    outcomes = [
        live_through(world, fault, FIRST + timedelta(days=60 * (number + 1)))
        for number, fault in enumerate(FAULTS)
    ]
    outcomes.append(ingest_duplicates(Lake(str(folder / "ingested")), database))
    service = ServiceWorld(database, seed)
    outcomes += [
        Outcome(
            fault.title, "hour", fault.hours, fault.name, fault.action, fault.why,
            *service.live_through(fault),
        )
        for fault in SERVICE_FAULTS
    ]  # fmt: skip
    return outcomes


def render(outcomes: Sequence[Outcome]) -> str:
    """Return the outcomes as the table of `docs/explanation/planted-faults.md`."""
    lines = [
        "| fault | named as | found after | decision | after | promised | why it is right |",
        "|---|---|---|---|---|---|---|",
    ]
    for outcome in outcomes:
        counts = [outcome.named, outcome.decided, outcome.windows]
        named, decided, promised = (_count(count, outcome.unit) for count in counts)
        lines.append(
            f"| {outcome.title} | {outcome.name} | {named} | `{outcome.action}` | {decided} | {promised} | "
            f"{outcome.why} |"
        )
    return "\n".join(lines) + "\n"


def _count(number: int | None, unit: str) -> str:
    if number is None:
        return "never"
    return f"{number} {unit}{'' if number == 1 else 's'}"


def planted_faults(rig: Rig) -> Figure:
    """Return the share of planted faults that are found, named and answered as is promised."""
    worst: dict[str, int] = {}
    missed: list[str] = []
    count = 0
    for seed in range(SEEDS):
        with temporary_database(rig.folder / f"planted-{seed}") as database:
            outcomes = plant_all(rig.folder / f"lakes-{seed}", database, seed)
        for outcome in outcomes:
            count += 1
            if outcome.decided is None or outcome.early or outcome.other:
                missed.append(f"{outcome.title} (seed {seed})")
            worst[outcome.title] = max(worst.get(outcome.title, 0), outcome.decided or 0)
    windows = "; ".join(f"{title} {number}" for title, number in worst.items())
    how = f"{SEEDS} seeds; most windows until the decision: {windows}; missed: {', '.join(missed) or 'none'}"
    return Figure("planted_faults", 1 - len(missed) / count, "share", "1", how)
