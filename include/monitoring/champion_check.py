"""Everything that is measured of a champion in one monitoring run."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

from include.catalog import catalog
from include.data.snapshots import snapshot as snapshots
from include.data.snapshots.snapshot import Snapshot
from include.database import ledger
from include.monitoring import drift, label_quality, slo, windows
from include.monitoring.governor import Signals

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd
    from sqlalchemy import Connection

    from include.certificates.certificate import Certificate
    from include.data.lake.delta_tables import Lake
    from include.declarations import UseCase
    from include.monitoring.drift import Drift, DriftOutcome
    from include.monitoring.label_quality import Quality
    from include.monitoring.slo import ServiceLevel
    from include.monitoring.windows import Window
    from include.release.rollout import ReleaseState

EARLIER_WINDOWS = 3  # looked at again in each run, for labels that come late


@dataclass(frozen=True, slots=True)
class ChampionContext:
    """The champion that is looked at, and the rows that it learned from."""

    use_case: UseCase
    state: ReleaseState
    snapshot: Snapshot
    reference: pd.DataFrame


def champion_context(
    use_case: UseCase, state: ReleaseState, certificate: Certificate, lake: Lake
) -> ChampionContext:
    """Return the champion's training rows, read again as its certificate names them."""
    snapshot = Snapshot.from_json(json.dumps(certificate.snapshot))
    return ChampionContext(use_case, state, snapshot, snapshots.read_snapshot(use_case, snapshot, lake))


def read_window(
    about: ChampionContext, connection: Connection, lake: Lake, *, end: datetime | None = None
) -> Window:
    """Return what callers asked in the window before `end`, or the scored partitions."""
    view = catalog().feature_views[about.use_case.feature_view]
    return windows.read_requests(connection, lake, about.use_case, view, end=end)


def check_drift(about: ChampionContext, seen: Window) -> Drift:
    """Compare what was asked with what was learned from."""
    view = catalog().feature_views[about.use_case.feature_view]
    columns = [column for column in view.columns if column.name in about.use_case.features]
    return drift.measure_drift(about.reference, seen.inputs, columns=columns, policy=about.use_case.drift)


def check_quality(about: ChampionContext, seen: Window, connection: Connection, lake: Lake) -> Quality:
    """
    Compare what was answered with the labels that landed since.

    The windows before `seen` are looked at again, since their labels go on landing: judged is the newest of
    whose labels enough are there.
    """
    use_case, label = about.use_case, about.use_case.label
    view = catalog().feature_views[use_case.feature_view]
    landed = lake.read(label.dataset, columns=[view.entity, "day", label.column])
    naive = label_quality.baseline_loss(use_case, about.reference["target"])
    due = windows.watermark(connection) - timedelta(days=catalog().datasets[label.dataset].lag_days)
    measured = []
    earlier = windows.before(connection, lake, use_case, view, seen, most=EARLIER_WINDOWS)
    for each in (seen, *earlier):
        ours = each.predictions[each.predictions["version"] == about.state.champion]
        joined = label_quality.join_labels(ours, landed, use_case, entity=view.entity)
        found = label_quality.measure_quality(joined.assign(due=joined["at"] <= due), use_case, naive=naive)
        measured.append(replace(found, window=(each.start, each.end)))
    judged = next((one for one in measured if one.outcome != "inconclusive"), measured[0])
    return replace(judged, windows=tuple(measured))


def check_service(about: ChampionContext, connection: Connection, *, end: datetime) -> ServiceLevel:
    """Compare what callers got with what they were promised, up to `end`."""
    return slo.measure_service(connection, about.use_case.name, about.use_case.slo, end=end)


def collect_signals(
    about: ChampionContext,
    outcome: DriftOutcome,
    found: Quality,
    served: ServiceLevel,
    *,
    connection: Connection,
    lake: Lake,
) -> Signals:
    """Return what the governor decides by; `outcome` is the drift's."""
    last = date.fromisoformat(about.snapshot.days[1])
    newer = [day for day in lake.days(about.use_case.label.dataset) if day > last]
    rows = len(lake.read(about.use_case.label.dataset, newer, columns=["day"])) if newer else 0
    promotion = ledger.champion_at(connection, about.use_case.name, _now(connection))
    return Signals(
        version=about.state.champion or 0,
        drift=outcome,
        quality=found.outcome,
        service=served.outcome,
        new_labelled_rows=rows,
        promoted_at=promotion["at"] if promotion else None,
        previous=about.state.previous,
    )


def _now(connection: Connection) -> datetime:
    return windows.watermark(connection) + windows.LAG
