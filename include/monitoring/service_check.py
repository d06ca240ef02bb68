"""The hourly check of what callers get: service level, burn rates, silence, and the decision that follows."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from include.database import ledger
from include.database.tables import ledger as ledger_table
from include.database.tables import log_watermark, monitoring_result
from include.errors import ServiceUnavailable
from include.monitoring import slo, unusual_hours
from include.monitoring.governor import Decision, figures_as_json, record_check
from include.monitoring.quality.label_levels import judge_label_levels
from include.release.freeze import ERROR_BUDGET, freeze_cause, lifted_at
from include.release.memory import find_growth
from include.release.rollout import read_state

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection, Engine

    from include.declarations import UseCase
    from include.monitoring.governor import Action
    from include.monitoring.quality.label_levels import LabelLevel
    from include.monitoring.slo import Burn, ServiceLevel

LENGTH = timedelta(hours=1)
# The memory of the last half hour is compared with that of the first one.
MEMORY_WINDOW = timedelta(hours=7)
MEMORY_SPAN = timedelta(minutes=30)
# A check of an older hour changes nothing.
MAX_AGE = 2 * LENGTH
# Unused share of the error budget at which releases thaw.
RECOVERED = 0.1
SERVICE = "the service level"
# Labels are measured once a day, or once a week; older figures say nothing about now.
MAX_LABEL_AGE = timedelta(days=8)


@dataclass(frozen=True, slots=True)
class ServiceCheck:
    """
    Measurements of one hour, which ends at `end`.

    `level` is what callers got over the window of the objective, since a person lifted a freeze last.
    `own` is what the champion `version` did since its promotion, and `before` what `previous` had done until
    then; both are None unless the promotion was within the cooldown. `expected_requests` is the usual traffic
    of an hour in which there was no request, else None; `surge` says that there were far more.
    `label_levels` are the objectives of labels by the newest monitoring run, and `label_surges` the classes
    whose share surged or vanished in it.
    `alarms_before` were told in an earlier check, and `rolled_back` says whether a rollback of this version
    was decided already.
    """

    version: int
    end: datetime
    level: ServiceLevel
    burns: tuple[Burn, ...]
    expected_requests: int | None = None
    surge: str = ""
    stale_features: str = ""
    slow_hour: str = ""
    refused_callers: str = ""
    label_levels: Mapping[str, LabelLevel] = field(default_factory=dict)
    label_surges: str = ""
    growing_memory: str = ""
    previous: int | None = None
    own: ServiceLevel | None = None
    before: ServiceLevel | None = None
    frozen: str | None = None
    freeze_cause: str | None = None
    rolled_back: bool = False
    alarms_before: tuple[str, ...] = ()

    @property
    def levels(self) -> dict[str, ServiceLevel | LabelLevel]:
        """Level of each objective, by its name."""
        return {SERVICE: self.level, **self.label_levels}

    @property
    def broken(self) -> str:
        """Which objectives are broken, with the figures; empty if none is."""
        levels = self.levels.items()
        return "; ".join(
            f"{name} is broken ({level.reason})" for name, level in levels if level.outcome == "broken"
        )

    @property
    def alarms(self) -> dict[str, str]:
        """Reason of each alarm, by its name."""
        alarms = {f"burn {burn.rule.rate:g}": burn.reason for burn in self.burns if burn.fired}
        if self.expected_requests is not None:
            start = self.end - LENGTH
            alarms["silence"] = (
                f"no request from {start:%Y-%m-%d %H:%M} to {self.end:%H:%M}, when there usually are "
                f"{self.expected_requests} or more: the gateway was down, or callers stayed away"
            )
        findings = {
            "surge": self.surge,
            "feature age": self.stale_features,
            "latency": self.slow_hour,
            "caller": self.refused_callers,
            "label": self.label_surges and f"the share of a label changed: {self.label_surges}",
            "memory": self.growing_memory,
        }
        for name, level in self.label_levels.items():
            findings |= {f"{name} {rate}": f"{name}: {burn}" for rate, burn in level.burns.items()}
        alarms |= {name: reason for name, reason in findings.items() if reason}
        return alarms


def require_log(connection: Connection, end: datetime) -> None:
    """
    Raise ServiceUnavailable if the access log is not complete until `end`.

    An installation whose gateway was never asked has no such log, and nothing is missing.
    """
    query = select(log_watermark.c.complete_until).where(log_watermark.c.log == "access_log")
    complete_until = connection.scalar(query)
    if complete_until is not None and complete_until < end:
        raise ServiceUnavailable(
            f"The access log is complete until {complete_until:%Y-%m-%d %H:%M:%S}, not until {end:%H:%M:%S}: "
            "what callers got is not known. See whether the collector of the access log runs."
        )


def measure(connection: Connection, use_case: UseCase, *, end: datetime) -> ServiceCheck | None:
    """Return the measurements of the hour that ends at `end`; None if there was no champion then."""
    name = use_case.name
    made = ledger.champion_at(connection, name, end)
    if made is None or made["version"] is None:
        return None
    version = int(made["version"])
    start = end - LENGTH
    state = read_state(connection, name)
    # After a rollback there is no previous champion.
    previous = state.previous if state.champion == version and made["event"] == "promoted" else None
    own = None
    before = None
    if previous is not None and end - made["at"] < use_case.retrain.cooldown:
        moment = made["at"]
        own = slo.measure_service(connection, name, use_case.slo, start=moment, end=end, version=version)
        before = slo.measure_service(connection, name, use_case.slo, end=moment, version=previous)
    lifted = lifted_at(connection, name)
    since = lifted if lifted is not None and lifted < end else None
    days, label_surges = _read_labels(connection, name, end)
    earliest = end - timedelta(days=use_case.slo.window_days)
    # The day on which the count begins is not a whole one.
    first_day = max(since or earliest, earliest).date() + timedelta(days=1)
    return ServiceCheck(
        version=version,
        end=end,
        level=slo.measure_service(connection, name, use_case.slo, start=since, end=end),
        burns=slo.measure_burn(connection, name, use_case.slo, start=start, end=end),
        expected_requests=slo.expected_requests(connection, name, start=start, end=end),
        surge=slo.find_surge(connection, name, start=start, end=end),
        stale_features=slo.find_stale_features(connection, name, use_case.slo, start=start, end=end),
        slow_hour=unusual_hours.find_slow_hour(connection, name, use_case.slo, end=end),
        refused_callers=unusual_hours.find_refused_callers(connection, name, start=start, end=end),
        label_levels=judge_label_levels(use_case, days, since=first_day),
        label_surges=label_surges,
        growing_memory=find_growth(connection, name, start=end - MEMORY_WINDOW, end=end, span=MEMORY_SPAN),
        previous=previous,
        own=own,
        before=before,
        frozen=state.frozen,
        freeze_cause=freeze_cause(connection, name),
        rolled_back=_is_decided(connection, name, version, made["at"]),
        alarms_before=_recorded_alarms(connection, name, start, end),
    )


def _read_labels(connection: Connection, use_case: str, end: datetime) -> tuple[list[dict[str, Any]], str]:
    """Return `label_days` and `label_surges` of the newest monitoring run of the last days."""
    table = monitoring_result.c
    query = (
        select(table.figures["quality"])
        .where(table.use_case == use_case, table.figures.has_key("quality"))
        .where(table.window_end > end - MAX_LABEL_AGE, table.window_end <= end)
        .order_by(table.window_end.desc(), table.id.desc())
        .limit(1)
    )
    quality = connection.scalar(query) or {}
    return quality.get("label_days", []), quality.get("label_surges", "")


def _is_decided(connection: Connection, use_case: str, version: int, since: datetime) -> bool:
    """Return whether a rollback of this version was decided since its promotion."""
    query = select(ledger_table.c.id).where(
        ledger_table.c.use_case == use_case,
        ledger_table.c.event == "decided",
        ledger_table.c.version == version,
        ledger_table.c.at >= since,
        ledger_table.c.reason.startswith("roll_back: "),
    )
    return connection.execute(query.limit(1)).first() is not None


def _recorded_alarms(
    connection: Connection, use_case: str, start: datetime, end: datetime
) -> tuple[str, ...]:
    """Return the alarms of the newest check whose hour ended from `start` to `end`."""
    table = monitoring_result.c
    query = (
        select(table.figures["decision"]["evidence"]["alarms"])
        .where(table.use_case == use_case, table.figures.has_key("burns"))
        .where(table.window_end.between(start, end))
        .order_by(table.id.desc())
        .limit(1)
    )
    return tuple(connection.scalar(query) or ())


def decide_service(check: ServiceCheck) -> Decision:
    """
    Return what to do about the service level.

    Roll back what a version broke within the cooldown after its promotion, unless the previous version had
    broken the service level, too, or that was decided before. Freeze releases if callers got less than
    promised, and thaw them once the error budget has recovered. Alert when an alarm begins.
    """
    evidence = figures_as_json(asdict(check)) | {"alarms": list(check.alarms)}
    action, reason = _choose_service_action(check)
    return Decision(action, reason, evidence)


def _choose_service_action(check: ServiceCheck) -> tuple[Action, str]:
    blame, goes_back = _blame(check)
    if goes_back:
        return "roll_back", blame
    details = f"; {blame}" if blame else ""
    if check.broken and check.frozen is None:
        return "freeze", f"{check.broken}: no release until the error budget recovers{details}"
    started = [reason for name, reason in check.alarms.items() if name not in check.alarms_before]
    if started:
        return "alert", "; ".join(started) + details
    if check.broken:
        return "nothing", f"{check.broken}, releases are frozen{details}"
    recovered = _recovered(check)
    if recovered and check.frozen is not None and check.freeze_cause == ERROR_BUDGET:
        return "thaw", f"{recovered}: releases are possible again"
    if check.alarms:
        return "nothing", f"an alarm goes on: {'; '.join(check.alarms.values())}"
    return "nothing", check.level.reason


def _recovered(check: ServiceCheck) -> str:
    """Return how much budget is left of the objectives that froze the releases; "" if one has too little."""
    frozen = check.frozen or ""
    named = {name: level for name, level in check.levels.items() if f"{name} is broken" in frozen}
    levels = named or {SERVICE: check.level}
    if any(level.outcome != "met" or level.budget_left < RECOVERED for level in levels.values()):
        return ""
    return "; ".join(
        f"{level.budget_left:.0%} of the error budget are left ({level.reason})" for level in levels.values()
    )


def _blame(check: ServiceCheck) -> tuple[str, bool]:
    """Return what the version broke since its promotion, empty if nothing, and whether to roll it back."""
    own = check.own
    if own is None or check.previous is None or own.outcome != "broken":
        return "", False
    figures = f"version {check.version} broke the service level since its promotion ({own.reason})"
    if check.rolled_back:
        return f"{figures}; its rollback was decided before", False
    if check.before is not None and check.before.outcome == "broken":
        return f"{figures}, and so had version {check.previous} before ({check.before.reason})", False
    return figures, True


def record(
    engine: Engine, use_case: str, check: ServiceCheck, decision: Decision, *, run: str, actor: str
) -> Decision:
    """
    Write the check and its decision, once per run; a check without an alarm and a decision is not written.

    Returns
    -------
    Decision
        The recorded decision.
    """
    if decision.action == "nothing" and not check.alarms:
        return decision
    figures: dict[str, Any] = {"service": check.level, "burns": check.burns}
    window = (check.end - LENGTH, check.end)
    return record_check(engine, use_case, decision, run=run, window=window, figures=figures, actor=actor)
