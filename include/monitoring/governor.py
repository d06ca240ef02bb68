"""The decision of a check of drift and label quality (retrain, alert or nothing), and its record."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic_core import to_jsonable_python
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from include.database.ledger import Entry, append
from include.database.tables import monitoring_result
from include.release.freeze import ERROR_BUDGET, freeze_releases, thaw_releases

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection, Engine

    from include.declarations import RetrainPolicy

Action = Literal["retrain", "alert", "freeze", "thaw", "roll_back", "nothing"]

# History that a decision depends on.
MONTH = timedelta(days=30)
# A run may come a little early.
MAX_TOLERANCE = timedelta(hours=1)
MAX_IN_VAIN = 3
SIGNALS = ("drift", "quality", "labels")
TOO_FEW = "too few rows and labels to measure drift or label quality"


@dataclass(frozen=True, slots=True)
class Signals:
    """
    Outcomes of the measurements of one run.

    `new_labelled_rows` counts labels of days after the champion's snapshot. `window` is the start and the end
    of what was measured. `trainings` counts runs of the training DAG that wait or run, and `upstream_fault`
    names data whose newest partition failed its checks. `data_fault` says which drifted features look like a
    fault of the data, and `late_labels` which labels are due and have not landed; both are empty without any.
    `causes` are further names of what was found. `unknown` says what could not be measured, and why.
    """

    version: int
    drift: Literal["drift", "no_drift", "inconclusive"]
    quality: Literal["good", "lost", "inconclusive"]
    new_labelled_rows: int
    window: tuple[datetime, datetime] | None = None
    trainings: int = 0
    upstream_fault: str = ""
    data_fault: str = ""
    late_labels: str = ""
    causes: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def fired(self) -> tuple[str, ...]:
        """Names of the signals that ask for a better model, or for labels."""
        conditions = {
            "drift": self.drift == "drift",
            "quality": self.quality == "lost",
            "labels": bool(self.late_labels),
        }
        return tuple(name for name, is_met in conditions.items() if is_met)

    @property
    def unobservable(self) -> bool:
        """True if neither drift nor label quality has an outcome, or something could not be measured."""
        return bool(self.unknown) or self.drift == self.quality == "inconclusive"

    @property
    def gap(self) -> str:
        """What could not be measured, as a part of a reason; empty if everything could."""
        return f"not known: {'; '.join(self.unknown)}" if self.unknown else ""


@dataclass(frozen=True, slots=True)
class PastCheck:
    """Signals and decision of an earlier run, which was about the moment `at`."""

    at: datetime
    version: int
    action: Action
    fired: tuple[str, ...] = ()
    unobservable: bool = False
    window: tuple[datetime, datetime] | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, the reason, and the figures behind it (valid JSON)."""

    action: Action
    reason: str
    evidence: dict[str, Any]


def decide(signals: Signals, policy: RetrainPolicy, history: Sequence[PastCheck], now: datetime) -> Decision:
    """
    Return the decision of this run.

    Retrain if a signal fired in `policy.k` of the last `policy.n` checks of this version since its last
    retraining. Checks whose windows overlap count as one. A retraining waits for the cooldown; if it would
    not help, or the month's budget is used up, a person is alerted instead, as of labels that do not land.
    Nothing is done if there are checks of newer windows.

    Parameters
    ----------
    history
        Other runs, in any order; those after `now` are about newer windows.
    now
        Moment that the run is about.
    """
    earlier = [check for check in history if check.at < now]
    checks = _separate_checks(signals, earlier)[: policy.n - 1]
    counts = {name: _count_fired(name, signals, checks) for name in SIGNALS}
    evidence: dict[str, Any] = figures_as_json(signals) | {
        "fired": list(signals.fired),
        "unobservable": signals.unobservable,
        "counts": counts,
        "checks": len(checks) + 1,
    }
    action, reason = _choose_action(signals, policy, earlier, now, checks, counts)
    if len(earlier) < len(history) and action != "nothing":
        reason = f"a newer window was measured, so that nothing is done; it would be {action}: {reason}"
        action = "nothing"
    return Decision(action, reason, evidence)


def _count_fired(name: str, signals: Signals, checks: Sequence[PastCheck]) -> int:
    return (name in signals.fired) + sum(name in check.fired for check in checks)


def _choose_action(
    signals: Signals,
    policy: RetrainPolicy,
    history: Sequence[PastCheck],
    now: datetime,
    checks: Sequence[PastCheck],
    counts: Mapping[str, int],
) -> tuple[Action, str]:
    frequent = [
        f"{name} in {count} of {len(checks) + 1} checks"
        for name, count in counts.items()
        if count >= policy.k and name in signals.fired
    ]
    reason = ", ".join(frequent) + (f" ({', '.join(signals.causes)})" if signals.causes else "")
    if signals.late_labels and counts["labels"] >= policy.k:
        return "alert", f"{reason}; {signals.late_labels}"
    if frequent and signals.data_fault:
        fault = f"the data look faulty: {signals.data_fault}"
        return "alert", f"{reason}; retraining would not help: {fault}"
    if frequent:
        return _choose_retraining(signals, policy, history, now, reason)
    reason = "no signal fired"
    if signals.fired:
        names = " and ".join(signals.fired) + (f" ({', '.join(signals.causes)})" if signals.causes else "")
        reason = f"{names} fired, {policy.k} of {policy.n} are needed"
    reason = "; ".join(filter(None, [reason, signals.gap]))
    n_unobservable = signals.unobservable + sum(check.unobservable for check in checks)
    if signals.unobservable and n_unobservable >= policy.k:
        return "alert", reason if signals.unknown else TOO_FEW
    return "nothing", reason


def _choose_retraining(
    signals: Signals, policy: RetrainPolicy, history: Sequence[PastCheck], now: datetime, reason: str
) -> tuple[Action, str]:
    retrained = sorted(check.at for check in history if check.action == "retrain" and check.at > now - MONTH)
    if signals.trainings:
        return "nothing", f"{reason}; a training waits or runs already"
    if retrained and now - retrained[-1] < policy.cooldown - min(policy.cooldown / 10, MAX_TOLERANCE):
        cool = retrained[-1] + policy.cooldown
        last = f"retrained at {retrained[-1]:%Y-%m-%d %H:%M}"
        return "nothing", f"{reason}; {last}, cooling down until {cool:%Y-%m-%d %H:%M}"
    if signals.quality == "good":
        return "nothing", f"{reason}, but label quality is good: retraining would not help"
    obstacle = _name_obstacle(signals, policy, history)
    if obstacle:
        return "alert", f"{reason}; retraining would not help: {obstacle}"
    if len(retrained) >= policy.budget_per_month:
        return "alert", f"{reason}; the budget of {policy.budget_per_month} retrainings a month is used up"
    return "retrain", reason


def _name_obstacle(signals: Signals, policy: RetrainPolicy, history: Sequence[PastCheck]) -> str:
    """Return why a model that is trained now would be no better; empty if it may be."""
    if signals.unknown or signals.upstream_fault:
        return signals.gap or signals.upstream_fault
    if signals.new_labelled_rows < policy.minimum_new_labels:
        return (
            f"{signals.new_labelled_rows} labelled rows since the champion's snapshot, "
            f"{policy.minimum_new_labels} are needed"
        )
    in_vain = sum(check.action == "retrain" and check.version == signals.version for check in history)
    if in_vain >= MAX_IN_VAIN:
        return f"the last {in_vain} retrainings gave no version that replaced {signals.version}"
    return ""


def _separate_checks(signals: Signals, history: Sequence[PastCheck]) -> list[PastCheck]:
    """
    Return the checks of this version since its last retraining, newest first, of windows that do not overlap.

    Of windows that overlap by more than a twentieth, the newest counts.
    """
    checks: list[PastCheck] = []
    start = signals.window[0] if signals.window else None
    for check in sorted(history, key=lambda check: check.at, reverse=True):
        if check.action == "retrain" or check.version != signals.version:
            break
        if check.window is not None and start is not None:
            tolerance = (check.window[1] - check.window[0]) / 20
            if check.window[1] - tolerance > start:
                continue
            start = check.window[0]
        checks.append(check)
    return checks


def past_checks(
    connection: Connection, use_case: str, *, now: datetime, run: str = "", span: timedelta = MONTH
) -> list[PastCheck]:
    """
    Return the recorded checks of drift and label quality about moments after `now` - `span`, newest first.

    Parameters
    ----------
    run
        Key of the DAG run that asks, whose own check is left out.
    """
    table = monitoring_result
    query = (
        select(table)
        .where(table.c.use_case == use_case, table.c.at > now - span, table.c.run != f"{use_case}/{run}")
        .where(~table.c.figures.has_key("burns"))
        .order_by(table.c.id.desc())
    )
    checks = []
    for row in connection.execute(query):
        evidence = row.figures["decision"]["evidence"]
        moment = row.figures.get("moment")
        checks.append(
            PastCheck(
                datetime.fromisoformat(moment) if moment else row.at,
                row.version,
                row.decision,
                tuple(evidence["fired"]),
                evidence["unobservable"],
                (row.window_start, row.window_end),
            )
        )
    return [check for check in checks if check.at > now - span]


def record_check(
    engine: Engine,
    use_case: str,
    decision: Decision,
    *,
    run: str,
    window: tuple[datetime, datetime],
    figures: Mapping[str, Any],
    actor: str = "monitoring",
) -> Decision:
    """
    Write the result of a run and its ledger entry in one transaction, once per run.

    The decisions `freeze` and `thaw` change the freeze of releases in the same transaction.

    Parameters
    ----------
    run
        Key of the DAG run: `<dag>/<run>`.
    window
        Start and end of the time window that was measured.
    figures
        The measurements; dataclasses, dates, numpy values and NaN (written as null) are allowed.

    Returns
    -------
    Decision
        The recorded decision: of a repeated run, which may measure other figures, the first one.
    """
    key = f"{use_case}/{run}"
    version = decision.evidence["version"]
    values = {"use_case": use_case, "run": key, "version": version} | {
        "window_start": window[0],
        "window_end": window[1],
        "decision": decision.action,
        "figures": figures_as_json(figures) | {"decision": figures_as_json(decision)},
    }
    summary = f"{decision.action}: {decision.reason}"
    entry = Entry(use_case, "decided", actor, summary, version, decision.evidence, f"decided/{key}")
    with engine.begin() as connection:
        statement = insert(monitoring_result).values(values).on_conflict_do_nothing(index_elements=["run"])
        if connection.execute(statement).rowcount:
            # The ledger has the alarm of the service level that goes on.
            if decision.action != "nothing" or "burns" not in figures:
                append(connection, entry)
            _change_freeze(connection, use_case, decision, actor)
            return decision
        return _recorded_decision(connection, key)


def _recorded_decision(connection: Connection, key: str) -> Decision:
    recorded = select(monitoring_result.c.figures["decision"]).where(monitoring_result.c.run == key)
    return Decision(**connection.execute(recorded).scalar_one())


def _change_freeze(connection: Connection, use_case: str, decision: Decision, actor: str) -> None:
    if decision.action in {"freeze", "thaw"}:
        change = freeze_releases if decision.action == "freeze" else thaw_releases
        change(connection, use_case, actor=actor, reason=decision.reason, cause=ERROR_BUDGET)


def figures_as_json(value: Any) -> dict[str, Any]:
    """Return a dataclass or mapping as JSON for PostgreSQL, which has no NaN: it becomes null."""
    json: dict[str, Any] = to_jsonable_python(
        value, inf_nan_mode="null", timedelta_mode="float", fallback=_numpy_to_python
    )
    return json


def _numpy_to_python(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON.")
