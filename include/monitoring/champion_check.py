"""Measurements of a champion in one monitoring run: drift, label quality, service level."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pandas as pd

from include.data.lake.partition_columns import DAY
from include.data.snapshots import snapshot as snapshots
from include.data.snapshots.snapshot import Snapshot
from include.data.snapshots.target_encoding import TARGET
from include.inference.predictions import VERSION
from include.monitoring import drift, label_quality, slo, windows
from include.monitoring.diagnosis import find_late_labels, find_upstream_fault, name_causes
from include.monitoring.governor import Signals
from include.monitoring.personal_values import with_pseudonyms
from include.monitoring.quality.details import measure_details
from include.monitoring.quality.maturity import DUE, is_maturing, measure_maturity_of
from include.monitoring.quality.skill import baseline_constant
from include.monitoring.quality.target_shifts import measure_target_shifts
from include.partitions import day_of
from include.settings import settings
from include.specifications import certified_specification

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from include.certificates.certificate import Certificate
    from include.data.lake.delta_tables import Lake
    from include.declarations import Column, UseCase
    from include.declarations.relations.feature_selection import Spine
    from include.declarations.specification import Specification
    from include.inference.decisions import DecisionRule
    from include.monitoring.drift import Drift, DriftOutcome
    from include.monitoring.label_quality import Quality
    from include.monitoring.quality.promised import Bounds
    from include.monitoring.slo import ServiceLevel
    from include.monitoring.windows import Window
    from include.release.rollout import ReleaseState

# Earlier windows whose label quality is measured again in each run, because labels land late.
N_EARLIER_WINDOWS = 3


@dataclass(frozen=True, slots=True)
class ChampionContext:
    """
    The champion of a use case; `reference` are its training rows (features and target).

    `use_case` is what it was trained for, under today's policies of monitoring.
    """

    use_case: UseCase
    state: ReleaseState
    snapshot: Snapshot
    specification: Specification
    reference: pd.DataFrame


def champion_context(
    use_case: UseCase, state: ReleaseState, certificate: Certificate, lake: Lake
) -> ChampionContext:
    """
    Read the champion's training rows from the snapshot that its certificate names.

    Raises
    ------
    DataError
        If the rows are not those of the snapshot any more.
    """
    snapshot = Snapshot.from_json(json.dumps(certificate.snapshot))
    specification = certified_specification(certificate.snapshot, use_case)
    reference = snapshots.read_snapshot(use_case, snapshot, lake)
    return ChampionContext(specification.governed_by(use_case), state, snapshot, specification, reference)


def read_window(
    champion: ChampionContext,
    connection: Connection,
    lake: Lake,
    *,
    end: datetime | None = None,
    limit: int | None = None,
) -> Window:
    """
    Return the requests in the window before `end`, or the newest scored partitions if there are none.

    Parameters
    ----------
    end
        End of the window; by default the moment up to which the inference log is complete.
    limit
        Largest number of rows, if only their inputs are needed.
    """
    selection = champion.specification.selection
    return windows.read_newest_window(
        connection, lake, champion.use_case, selection, end=end, version=champion.state.champion, limit=limit
    )


def check_drift(
    champion: ChampionContext,
    window: Window,
    importance: Mapping[str, float] | None = None,
    *,
    parts: Iterable[pd.DataFrame] | None = None,
    with_page: bool = True,
) -> Drift:
    """Compare the inputs in the window, or all `parts` of them, with the champion's training rows."""
    specified = champion.specification.selection.columns
    return drift.measure_drift(
        champion.reference,
        window.inputs,
        columns=[specified[name] for name in champion.use_case.features],
        policy=champion.use_case.drift,
        importance=importance,
        parts=parts,
        with_page=with_page,
    )


def check_quality(
    champion: ChampionContext,
    window: Window,
    connection: Connection,
    lake: Lake,
    *,
    promised: Mapping[str, Bounds] | None = None,
    rule: DecisionRule | None = None,
) -> Quality:
    """
    Compare the champion's predictions with the labels that have landed; without a label, do not.

    Parameters
    ----------
    promised
        Interval of each metric in the champion's evaluation, where it is known.
    rule
        The champion's rule of decisions, where it is known.
    """
    if champion.use_case.label.is_absent:
        return label_quality.without_labels(champion.use_case)
    return _check_labels(champion, window, connection, lake, promised=promised or {}, rule=rule)


def _check_labels(
    champion: ChampionContext,
    window: Window,
    connection: Connection,
    lake: Lake,
    *,
    promised: Mapping[str, Bounds],
    rule: DecisionRule | None,
) -> Quality:
    """
    Compare the champion's predictions with the labels that have landed since.

    Labels land late, so the windows before `window` are measured again; labels of older days are not read.
    The result is that of the newest window with enough labels; its `windows` are the results of all windows,
    newest first. Of undated rows, those count whose entity is not in the champion's snapshot.
    """
    use_case = champion.use_case
    selection = champion.specification.selection
    measured = [
        window,
        *windows.read_earlier_windows(connection, lake, use_case, selection, window, limit=N_EARLIER_WINDOWS),
    ]
    labels = read_labels(lake, use_case, selection.spine, measured)
    now = window.until or windows.watermark(connection)
    publications = sorted(lake.publications(use_case.label.dataset).items())
    published = {str(day_of(partition)): publication.published_at for partition, publication in publications}
    return measure_windows(
        champion, measured, labels, now=now, promised=promised, rule=rule, published=published
    )


def measure_windows(
    champion: ChampionContext,
    measured: Sequence[Window],
    labels: pd.DataFrame,
    *,
    now: datetime,
    promised: Mapping[str, Bounds],
    rule: DecisionRule | None,
    published: Mapping[str, datetime] | None = None,
) -> Quality:
    """
    Compare the champion's predictions in these windows, newest first, with the labels known at `now`.

    The result is that of the newest window with enough labels; its `windows` are the results of all.

    Parameters
    ----------
    labels
        Result of `read_labels`.
    promised
        Interval of each metric in the champion's evaluation, where it is known.
    rule
        The champion's rule of decisions, where it is known.
    published
        When the labels of each day (ISO 8601) were published last; without it there is no maturity curve.
    """
    use_case = champion.use_case
    baseline = baseline_constant(use_case, champion.reference[TARGET])
    results = []
    joined_windows = join_windows(champion, measured, labels, now=now)
    for past_window, joined in zip(measured, joined_windows, strict=True):
        result = label_quality.measure_quality(joined, use_case, baseline=baseline, promised=promised)
        results.append(replace(result, window=(past_window.start, past_window.end)))
    conclusive = (number for number, result in enumerate(results) if result.outcome != "inconclusive")
    position = next(conclusive, 0)
    estimated = label_quality.estimate_window(use_case, joined_windows)
    shifts = measure_target_shifts(use_case, champion.reference[TARGET], joined_windows)
    details = measure_details(use_case, champion.reference, joined_windows, position=position, rule=rule)
    maturity = measure_maturity_of(joined_windows, published or {}, now)
    results = [
        replace(result, provisional=result.provisional or is_maturing(result.window, maturity, now))
        for result in results
    ]
    newest = replace(results[position], estimated=estimated, shifts=shifts, maturity=maturity, **details)
    return replace(newest, windows=tuple(results))


def join_windows(
    champion: ChampionContext, measured: Sequence[Window], labels: pd.DataFrame, *, now: datetime
) -> list[pd.DataFrame]:
    """Return the champion's predictions of each window with their labels, and whether these were due."""
    use_case = champion.use_case
    spine = champion.specification.selection.spine
    keys = key_columns(champion.specification)
    labels = with_pseudonyms(labels, keys, settings().pseudonym_key)
    reference = with_pseudonyms(champion.reference, keys, settings().pseudonym_key)
    available = champion.specification.availability
    known_until = available.calendar.end_of(available.newest_due(now))
    recurs = bool(reference.duplicated(list(spine.label_keys)).any())
    joined_windows = []
    for past_window in measured:
        predictions = with_pseudonyms(past_window.predictions, keys, settings().pseudonym_key)
        predictions = predictions[predictions[VERSION] == champion.state.champion]
        if use_case.split.by == "entity":
            predictions = _without_known_entities(predictions, reference, spine.keys)
        joined = label_quality.join_labels(
            predictions, labels, use_case, keys=spine.label_keys, time=use_case.label.time, recurs=recurs
        )
        joined_windows.append(joined.assign(**{DUE: joined[windows.AT] < known_until}))
    return joined_windows


def read_labels(
    lake: Lake,
    use_case: UseCase,
    spine: Spine,
    measured: Sequence[Window],
    *,
    until: date | None = None,
) -> pd.DataFrame:
    """
    Return the labels that predictions in these windows may have: keys, time, day and label.

    They are those from one window before the first event or request on, of days before `until`. Where all
    labels are older, as when events of the past are sent again, all are returned.
    """
    label = use_case.label
    first = min(_first_day(window, spine) for window in measured)
    first -= timedelta(days=use_case.drift.window_days)
    published = lake.partitions(label.dataset)
    if until is not None:
        published = [partition for partition in published if day_of(partition) < until]
    partitions = [partition for partition in published if day_of(partition) >= first]
    label_times = [label.time] if label.time else []
    columns = [*spine.label_keys, *label_times, DAY, label.column]
    return lake.read(label.dataset, partitions or published, columns=columns)


def _first_day(window: Window, spine: Spine) -> date:
    """Return the day of the first event or request of a window."""
    days = [window.start.date()]
    for name in (spine.time, DAY):
        if name in window.predictions:
            events = pd.to_datetime(window.predictions[name], utc=True).dropna()
            if len(events):
                days.append(events.min().date())
    return min(days)


def key_columns(specification: Specification) -> list[Column]:
    """Return the columns of the views by which labels may be joined."""
    label = specification.use_case.label.column
    columns: list[Column] = []
    for view in specification.selection.views:
        columns += [column for column in view.columns if column.name != label]
    return columns


def _without_known_entities(
    predictions: pd.DataFrame, reference: pd.DataFrame, keys: tuple[str, ...]
) -> pd.DataFrame:
    """Leave out entities of the champion's snapshot: their label says nothing new."""
    known_entities = pd.MultiIndex.from_frame(reference[list(keys)].astype(str))
    entities = pd.MultiIndex.from_frame(predictions[list(keys)].astype(str))
    return predictions[~entities.isin(known_entities)]


def check_service(champion: ChampionContext, connection: Connection, *, end: datetime) -> ServiceLevel:
    """Compare availability and latency up to `end` with the use case's service level objective."""
    return slo.measure_service(connection, champion.use_case.name, champion.use_case.slo, end=end)


def collect_signals(
    champion: ChampionContext,
    drift_outcome: DriftOutcome,
    quality: Quality,
    window: Window,
    *,
    connection: Connection,
    lake: Lake,
    data_faults: Mapping[str, str] | None = None,
) -> Signals:
    """
    Return what the governor's decision depends on.

    Parameters
    ----------
    data_faults
        What looks like a fault of the data, by the feature: `faults` of the drift.
    """
    use_case = champion.use_case
    last_day = date.fromisoformat(champion.snapshot.days[1])
    label_rows = lake.counts(use_case.label.dataset)
    new_rows = sum(rows for partition, rows in label_rows.items() if day_of(partition) > last_day)
    subjects = [view.name for view in champion.specification.selection.views] + [use_case.label.dataset]
    return Signals(
        version=champion.state.champion or 0,
        drift=drift_outcome,
        quality=quality.outcome,
        new_labelled_rows=new_rows,
        window=(window.start, window.end),
        upstream_fault=find_upstream_fault(connection, subjects, window.until),
        data_fault="; ".join(f"{name}: {fault}" for name, fault in (data_faults or {}).items()),
        late_labels=find_late_labels(quality, use_case),
        causes=name_causes(drift_outcome, quality, is_faulty=bool(data_faults)),
    )
