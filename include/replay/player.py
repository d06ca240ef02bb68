"""The player of a replay: one day after the other, as the DAGs would have run them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

import pyarrow as pa

from include.data.feature_store.feature_rows import newest_versions
from include.data.lake.dtypes import to_frame
from include.modeling.batch_scoring.scorer import BatchScorer
from include.modeling.batch_scoring.stream import score_partitions
from include.monitoring import champion_check, governor, label_quality, windows
from include.monitoring.governor import PastCheck, Signals
from include.partitions import day_of
from include.replay.journal import CheckRecord, DayRecord, Journal, TrainingRecord
from include.replay.lakes import StrategyLake

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from pathlib import Path

    from include.data.lake.delta_tables import Lake
    from include.declarations import UseCase
    from include.monitoring.champion_check import ChampionContext
    from include.replay.versions import VersionStore

Strategy = Literal["scheduled", "governed", "never"]
STRATEGIES: dict[Strategy, str] = {
    "scheduled": "trained by schedule",
    "governed": "trained when the governor asks for it",
    "never": "trained once",
}
# Without a schedule of monitoring.
MONITORING_TIME = time(6, tzinfo=UTC)
LAKE = "lake"
# Windows of partitions that a check reads.
N_WINDOWS = 1 + champion_check.N_EARLIER_WINDOWS
MONTH = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class ChampionOutcomes:
    """Drift and label quality of a champion as of a moment, in the window from `window[0]` to `window[1]`."""

    window: tuple[datetime, datetime]
    drift: Literal["drift", "no_drift", "inconclusive"]
    quality: Literal["good", "lost", "inconclusive"]


@dataclass(frozen=True, slots=True)
class Replay:
    """
    A replay in a folder.

    Attributes
    ----------
    use_case : UseCase
    folder : Path
        Folder with the lake of datasets and features, and with a folder for each strategy.
    versions : VersionStore
    first, last : date
        Days that are played.
    every : int
        Nights from one scheduled training to the next.
    faults : mapping
        Days of each feature view that did not pass their checks.
    measured : mapping
        Outcomes, by the day and the versions that predicted until then: strategies that had the same
        champions share them.
    """

    use_case: UseCase
    folder: Path
    versions: VersionStore
    first: date
    last: date
    every: int = 1
    faults: Mapping[str, Collection[date]] = field(default_factory=dict)
    measured: dict[tuple[date, tuple[int | None, ...]], ChampionOutcomes] = field(default_factory=dict)

    def journal(self, strategy: Strategy) -> Journal:
        """Return the journal of a strategy."""
        return Journal(self.folder / strategy / "days.jsonl")

    def lake(self, strategy: Strategy) -> StrategyLake:
        """Return the lake of a strategy: its predictions, beside the tables that all strategies read."""
        own = self.folder / strategy / LAKE
        own.mkdir(parents=True, exist_ok=True)
        predictions = f"{self.use_case.name}_predictions"
        return StrategyLake(str(own), history=self.versions.lake, own=predictions)


def play_all(
    replay: Replay, on_day: Callable[[Strategy, DayRecord], None]
) -> dict[Strategy, list[DayRecord]]:
    """
    Play all strategies, one month after the other, and return the records of each.

    So the strategies can be compared before the last day.
    """
    records: dict[Strategy, list[DayRecord]] = {}
    end = replay.first
    while end < replay.last or not records:
        end = min(end + MONTH, replay.last)
        for strategy in STRATEGIES:
            records[strategy] = play(replace(replay, last=end), strategy, partial(on_day, strategy))
    return records


def play(replay: Replay, strategy: Strategy, on_day: Callable[[DayRecord], None]) -> list[DayRecord]:
    """Play the days that were not played yet, and return the records of all."""
    lake = replay.lake(strategy)
    journal = replay.journal(strategy)
    records = journal.read()
    day = records[-1].day + timedelta(days=1) if records else replay.first
    while day <= replay.last:
        record = play_day(replay, strategy, lake, day, records)
        journal.append(record)
        records.append(record)
        on_day(record)
        day += timedelta(days=1)
    return records


def play_day(
    replay: Replay, strategy: Strategy, lake: Lake, day: date, records: list[DayRecord]
) -> DayRecord:
    """
    Return the record of a day: the nightly training, the scores, the check, and the training that it causes.

    A candidate that passes every gate is the champion from then on: there are no callers that a rollout could
    ask. One that a person would have to decide about is not promoted.
    """
    champion = records[-1].champion if records else None
    refusals = records[-1].refusals if records else 0
    moment = monitoring_moment(replay.use_case, day)
    trainings: list[TrainingRecord] = []

    def train() -> None:
        nonlocal champion, refusals
        training = replay.versions.train(day, champion, refusals, moment)
        trainings.append(training)
        if training.conclusion == "passed":
            champion = training.version
            refusals = 0
        elif training.conclusion != "failed":
            refusals += 1

    is_due = strategy == "scheduled" and (day - replay.first).days % replay.every == 0
    if champion is None or is_due:
        train()
    scored_by = champion
    if scored_by is None:
        return DayRecord(day, None, 0, None, tuple(trainings), None, refusals)
    rows = score_day(replay, scored_by, lake, day)
    check = check_day(replay, scored_by, lake, moment, records)
    if strategy == "governed" and check.action == "retrain" and not trainings:
        train()
    return DayRecord(day, scored_by, rows, check, tuple(trainings), champion, refusals)


def score_day(replay: Replay, version: int, lake: Lake, day: date) -> int:
    """Score a day with a version, publish the predictions, and return their number; 0 without features."""
    context = replay.versions.context(version)
    selection = context.specification.selection
    if day not in lake.days(selection.spine.table):
        return 0
    model = replay.versions.model(version)
    scorer = BatchScorer(context.specification.use_case, selection.spine, model, version)
    versions = newest_versions(selection, lake)
    scored = pa.concat_tables(score_partitions(scorer, selection, lake, [day], versions=versions))
    table = f"{replay.use_case.name}_predictions"
    lake.publish(table, to_frame(scored), [day], metadata={"run": "replay", "try": "1", "code": ""})
    return scorer.rows


def check_day(
    replay: Replay, version: int, lake: Lake, moment: datetime, records: list[DayRecord]
) -> CheckRecord:
    """Measure drift and label quality as of a moment, and return the governor's decision."""
    champion = replay.versions.context(version)
    use_case = champion.use_case
    key = (moment.date(), (*(record.version for record in records), version))
    if key not in replay.measured:
        replay.measured[key] = measure_champion(replay, version, lake, moment)
    measured = replay.measured[key]
    last_day = date.fromisoformat(champion.snapshot.days[1])
    known_before = _known_before(champion, moment)
    counts = lake.counts(use_case.label.dataset)
    signals = Signals(
        version=version,
        drift=measured.drift,
        quality=measured.quality,
        new_labelled_rows=sum(
            rows for partition, rows in counts.items() if last_day < day_of(partition) < known_before
        ),
        window=measured.window,
        upstream_fault=_describe_faults(replay, moment.date()),
    )
    history = _past_checks(records, replay.use_case, moment)
    decision = governor.decide(signals, use_case.retrain, history, moment)
    return CheckRecord(
        moment,
        measured.window,
        measured.drift,
        measured.quality,
        decision.action,
        decision.reason,
        tuple(decision.evidence["fired"]),
        bool(decision.evidence["unobservable"]),
    )


def measure_champion(replay: Replay, version: int, lake: Lake, moment: datetime) -> ChampionOutcomes:
    """Return drift and label quality of a champion, by the labels that are known at a moment."""
    champion = replay.versions.context(version)
    figures = replay.versions.figures(version)
    use_case = champion.use_case
    selection = champion.specification.selection
    measured = list(windows.read_partition_windows(lake, use_case, selection, end=moment, limit=N_WINDOWS))
    drift = champion_check.check_drift(champion, measured[0], figures.importance, with_page=False)
    if use_case.label.is_absent:
        quality = label_quality.without_labels(use_case)
    else:
        until = _known_before(champion, moment)
        labels = champion_check.read_labels(lake, use_case, selection.spine, measured, until=until)
        quality = champion_check.measure_windows(
            champion, measured, labels, now=moment, promised=figures.intervals, rule=figures.rule
        )
    return ChampionOutcomes((measured[0].start, measured[0].end), drift.outcome, quality.outcome)


def monitoring_moment(use_case: UseCase, day: date) -> datetime:
    """Return when the schedule looks at a model on a day, in UTC."""
    from croniter import croniter

    cron = use_case.schedules.cron("monitoring", use_case.name)
    if cron is None:
        return datetime.combine(day, MONITORING_TIME)
    midnight = datetime.combine(day, time(), ZoneInfo(use_case.schedules.time_zone))
    following: datetime = croniter(cron, midnight).get_next(datetime)
    return following.astimezone(UTC)


def _known_before(champion: ChampionContext, moment: datetime) -> date:
    """Return the first day whose labels are not known at a moment."""
    return day_of(champion.specification.availability.newest_due(moment)) + timedelta(days=1)


def _past_checks(records: Iterable[DayRecord], use_case: UseCase, moment: datetime) -> list[PastCheck]:
    """Return the checks that a decision at a moment depends on, as `governor.past_checks` reads them."""
    span = max(governor.MONTH, 2 * use_case.retrain.n * timedelta(days=use_case.drift.window_days))
    checks = []
    for record in records:
        check = record.check
        if check is None or record.version is None or check.moment <= moment - span:
            continue
        checks.append(
            PastCheck(
                check.moment, record.version, check.action, check.fired, check.unobservable, check.window
            )
        )
    return checks


def _describe_faults(replay: Replay, day: date) -> str:
    views = [name for name, days in replay.faults.items() if day in days]
    return "; ".join(f"{name} {day} failed its checks" for name in views)
