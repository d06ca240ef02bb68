"""The fleet: what serves, what waits and what is wrong, one entry for each model."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime  # noqa: TC003  the application reads the annotations
from typing import TYPE_CHECKING, Any

from sqlalchemy import ARRAY, Text, bindparam, func, select, text

from include.release.heartbeat import find_silences
from include.release.rollout import ReleaseState, read_all_states

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from sqlalchemy import Connection, TextClause

    from include.declarations import UseCase

FULL_WEIGHT = 10_000
MAX_PAGE_ROWS = 200
CHECKED_PARTS = ("drift", "quality", "service")

# The newest entries of each model: lateral, so that a long ledger is not sorted as a whole.
_READ_DECISIONS = text("""
SELECT name, champion.at AS champion_since, verdict.event AS verdict, verdict.version AS verdict_version,
       newest.event AS event, newest.at AS event_at
FROM unnest(:names) AS name
LEFT JOIN LATERAL (
  SELECT at FROM ledger WHERE use_case = name AND event IN ('promoted', 'rolled_back')
  ORDER BY id DESC LIMIT 1
) AS champion ON true
LEFT JOIN LATERAL (
  SELECT event, version FROM ledger WHERE use_case = name AND event IN ('registered', 'refused')
  ORDER BY id DESC LIMIT 1
) AS verdict ON true
LEFT JOIN LATERAL (
  SELECT event, at FROM ledger WHERE use_case = name ORDER BY id DESC LIMIT 1
) AS newest ON true
""").bindparams(bindparam("names", type_=ARRAY(Text)))

_READ_CHECKS = text("""
SELECT name, checked.at, checked.decision, checked.figures
FROM unnest(:names) AS name
CROSS JOIN LATERAL (
  SELECT at, decision, figures FROM monitoring_result WHERE use_case = name AND figures ? 'drift'
  ORDER BY id DESC LIMIT 1
) AS checked
""").bindparams(bindparam("names", type_=ARRAY(Text)))


@dataclass(frozen=True, slots=True)
class FleetEntry:
    """
    One model.

    Attributes
    ----------
    declared : bool
        Whether a use case of this name is declared; False for a model whose declaration was removed.
    status : str
        `serving`, `releasing` (a challenger gets traffic or copies), `switched off` (callers get a fallback),
        `retired` or `not released`.
    champion, challenger, previous : int or None
        Versions that serve, and the champion that a rollback restores.
    champion_since : datetime or None
        When the champion was promoted, or became champion again.
    frozen : str
        Why releases are frozen; "" if they are not.
    paused : bool
        Whether a person paused the rollout.
    challenger_share, shadow_share : float
        Share (0 to 1) of the requests that the challenger answers, and of those that are copied to it.
    rollout_run : str
        The DAG run that rolls the challenger out, as `<dag>/<run id>`; "" without a challenger.
    verdict : str
        Outcome of the last training: `registered` or `refused`, with the version; "" before the first.
    drift, quality, service : str
        Outcomes of the last monitoring run; "" before the first.
    budget_left : float or None
        Unused share of the error budget (1 is unused, below 0 is exceeded); None before the first run.
    decision : str
        Decision of the last monitoring run.
    silent_since : datetime or None
        If the monitoring has stopped, when it had its last result, or the champion was promoted.
    event, event_at : str, datetime or None
        The newest entry of the ledger.
    """

    name: str
    declared: bool
    owner: str
    task: str
    risk: str
    description: str
    status: str
    champion: int | None
    champion_since: datetime | None
    challenger: int | None
    previous: int | None
    challenger_share: float
    shadow_share: float
    rollout_run: str
    frozen: str
    paused: bool
    verdict: str
    drift: str
    quality: str
    service: str
    budget_left: float | None
    checked_at: datetime | None
    decision: str
    silent_since: datetime | None
    event: str
    event_at: datetime | None


@dataclass(frozen=True, slots=True)
class FleetPage:
    """Rows of one page, and how many rows there are on all pages."""

    entries: tuple[FleetEntry, ...]
    total: int
    page: int
    pages: int


def read_fleet(
    connection: Connection,
    use_cases: Mapping[str, UseCase],
    visible: Collection[str] | None = None,
    *,
    also: Iterable[str] = (),
) -> list[FleetEntry]:
    """
    Return an entry for each declared and each released model, by name.

    Parameters
    ----------
    visible
        Names that may be shown; None for all.
    also
        Names of further models, which were never released or are in the ledger only.
    """
    states = {state.use_case: state for state in read_all_states(connection)}
    names = sorted({*use_cases, *states, *also})
    if visible is not None:
        names = [name for name in names if name in visible]
    decisions = _rows_by_name(connection, _READ_DECISIONS, names)
    checks = _rows_by_name(connection, _READ_CHECKS, names)
    now: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    declared = {name: use_cases[name] for name in names if name in use_cases}
    silences = find_silences(connection, declared, now)
    entries = []
    for name in names:
        checked = checks.get(name, {})
        if name in silences:
            checked = checked | {"silent_since": silences[name].since}
        entries.append(_entry(name, use_cases.get(name), states.get(name), decisions[name], checked))
    return entries


def select_page(
    entries: Iterable[FleetEntry],
    *,
    search: str = "",
    sort: str = "name",
    descending: bool = False,
    page: int = 1,
    rows: int = 50,
) -> FleetPage:
    """
    Return one page of the entries that contain all words of `search`, sorted by an attribute.

    Entries without a value come last in both directions.

    Raises
    ------
    ValueError
        If `sort` is no attribute of an entry.
    """
    if sort not in FleetEntry.__slots__:
        raise ValueError(f"sort={sort}: there is no such column; one of {', '.join(FleetEntry.__slots__)}.")
    chosen = select_entries(entries, search)
    with_value = [entry for entry in chosen if getattr(entry, sort) not in (None, "")]
    without_value = [entry for entry in chosen if getattr(entry, sort) in (None, "")]
    with_value.sort(key=lambda entry: getattr(entry, sort), reverse=descending)
    size = min(max(rows, 1), MAX_PAGE_ROWS)
    pages = max(-(-len(chosen) // size), 1)
    number = min(max(page, 1), pages)
    ordered = [*with_value, *without_value]
    return FleetPage(tuple(ordered[(number - 1) * size : number * size]), len(chosen), number, pages)


def select_entries(entries: Iterable[FleetEntry], search: str) -> list[FleetEntry]:
    """Return the entries that contain all words of `search`, in name, owner, task, risk, status or text."""
    words = search.casefold().split()
    return [entry for entry in entries if _has_words(entry, words)]


def _has_words(entry: FleetEntry, words: Iterable[str]) -> bool:
    values = (entry.name, entry.owner, entry.task, entry.risk, entry.status, entry.drift, entry.description)
    searched = " ".join(values).casefold()
    return all(word in searched for word in words)


def _rows_by_name(connection: Connection, query: TextClause, names: list[str]) -> dict[str, dict[str, Any]]:
    rows = connection.execute(query, {"names": names}).mappings()
    return {row["name"]: dict(row) for row in rows}


def _entry(
    name: str,
    use_case: UseCase | None,
    state: ReleaseState | None,
    decided: Mapping[str, Any],
    checked: Mapping[str, Any],
) -> FleetEntry:
    released = state or ReleaseState(name)
    figures: Mapping[str, Any] = checked.get("figures") or {}
    outcomes = {part: str((figures.get(part) or {}).get("outcome", "")) for part in CHECKED_PARTS}
    return FleetEntry(
        name=name,
        declared=use_case is not None,
        owner=use_case.owner if use_case else "",
        task=use_case.task if use_case else "",
        risk=describe_risk(use_case),
        description=use_case.description if use_case else "",
        status=_status(released),
        champion=released.champion,
        champion_since=decided["champion_since"] if released.champion else None,
        challenger=released.challenger,
        previous=released.previous,
        challenger_share=released.weight / FULL_WEIGHT,
        shadow_share=released.shadow_share,
        rollout_run=released.owner or "",
        frozen=released.frozen or "",
        paused=released.paused,
        verdict=_verdict(decided),
        **outcomes,
        budget_left=(figures.get("service") or {}).get("budget_left"),
        checked_at=checked.get("at"),
        decision=str(checked.get("decision", "")),
        silent_since=checked.get("silent_since"),
        event=str(decided["event"] or ""),
        event_at=decided["event_at"],
    )


def describe_risk(use_case: UseCase | None) -> str:
    """Return the declared level of risk; "" without one."""
    return use_case.risk.level if use_case and use_case.risk else ""


def _status(state: ReleaseState) -> str:
    if state.retired:
        return "retired"
    if state.fallback is not None:
        return "switched off"
    if state.challenger is not None:
        return "releasing"
    return "serving" if state.champion is not None else "not released"


def _verdict(decided: Mapping[str, Any]) -> str:
    if not decided["verdict"]:
        return ""
    version = decided["verdict_version"]
    return decided["verdict"] if version is None else f"{decided['verdict']} {version}"
