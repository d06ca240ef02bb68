"""What a check of drift and quality found: measurements, names of causes, labels that stopped coming."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from include.database.table_checks import newest_checks
from include.monitoring.governor import Signals
from include.monitoring.label_quality import MINIMUM_LABELS, Quality
from include.monitoring.quality.causes import CONCEPT_DRIFT, COVARIATE_SHIFT, LABEL_SHIFT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from include.declarations import UseCase
    from include.monitoring.drift import DriftOutcome
    from include.monitoring.slo import ServiceLevel

DATA_FAULT = "data fault"


@dataclass(frozen=True, slots=True)
class Measurements:
    """What a decision depends on; `signals` has the window."""

    quality: Quality
    service: ServiceLevel
    signals: Signals

    @property
    def window(self) -> tuple[datetime, datetime]:
        """Start and end of what was measured."""
        if self.signals.window is None:
            raise ValueError("The signals have no window.")
        return self.signals.window

    def lacking(self, gap: str) -> Measurements:
        """Return the same with what could not be measured, and why."""
        unknown = (*self.signals.unknown, gap)
        return replace(
            self, quality=replace(self.quality, reason=gap), signals=replace(self.signals, unknown=unknown)
        )


def without_measurements(
    use_case: UseCase,
    version: int,
    drift_outcome: DriftOutcome,
    service: ServiceLevel,
    *,
    end: datetime,
    unknown: tuple[str, ...] = (),
) -> Measurements:
    """Return what is known of a champion before its quality and labels are measured."""
    window = (end - timedelta(days=use_case.drift.window_days), end)
    quality = Quality("inconclusive", "not measured", 0, 0, 0.0, None, {})
    signals = Signals(version, drift_outcome, "inconclusive", 0, window, unknown=unknown)
    return Measurements(quality, service, signals)


def name_causes(drift: str, quality: Quality, *, is_faulty: bool = False) -> tuple[str, ...]:
    """
    Return the names of what the measurements of a run found, be it a loss or not.

    Parameters
    ----------
    is_faulty
        Whether the data look faulty: then nothing else can be told.
    """
    if is_faulty:
        return (DATA_FAULT,)
    label_shift = bool(quality.shifts.get("label", {}).get("drifted"))
    names = {
        COVARIATE_SHIFT: drift == "drift" or quality.cause == COVARIATE_SHIFT,
        LABEL_SHIFT: label_shift or quality.cause == LABEL_SHIFT,
        CONCEPT_DRIFT: quality.cause == CONCEPT_DRIFT,
    }
    return tuple(name for name, is_found in names.items() if is_found)


def find_late_labels(quality: Quality, use_case: UseCase) -> str:
    """
    Return that labels stopped coming, with the figures; empty if they did not.

    Of the newest window with enough predictions whose labels are due, less than half of the share that is
    needed has landed: a label that comes a little late is no fault.
    """
    minimum = use_case.label.minimum_completeness
    for result in quality.windows:
        if result.predictions < MINIMUM_LABELS:
            continue
        if result.completeness >= minimum / 2:
            return ""
        until = f" until {result.window[1]:%Y-%m-%d %H:%M}" if result.window else ""
        return (
            f"labels stopped coming: {result.completeness:.1%} of those of {result.predictions} "
            f"predictions{until} have landed, {minimum:.0%} are needed"
        )
    return ""


def find_upstream_fault(connection: Connection, subjects: Sequence[str], until: datetime | None) -> str:
    """Return those of these views and datasets whose newest partition until then failed its checks."""
    checks = newest_checks(connection, dict.fromkeys(subjects), until=until)
    failed = (name for name, check in checks.items() if not check.passed)
    return "; ".join(f"{name} {checks[name].partition} failed its checks" for name in failed)
