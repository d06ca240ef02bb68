"""
Panels of a model's page. To add one, write a function that reads it, and a line in `PANELS`.

A panel reads the database, or the gateway's metrics when it is opened; the page loads each by itself, and a
panel that cannot be read does not hide the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence  # noqa: TC003  the application reads the annotations
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, text

from include.database.ledger import ledger_entries
from include.database.tables import ledger, monitoring_result
from include.declarations.base import INTERNAL_PREFIX
from include.fleet.charts import Chart
from include.fleet.panel_content import PanelContent
from include.fleet.resources import read_servers
from include.fleet.value_rows import COLUMNS as VALUE_COLUMNS
from include.fleet.value_rows import describe_maturity, value_row

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection, RowMapping

MAX_ENTRIES = 50
MAX_CHECKS = 60
# Newest runs in a table; the charts have all of them.
SHOWN_CHECKS = 10

# What callers saw, from the gateway: a version is the one that answered, if any did.
_COUNT_REQUESTS = text("""
SELECT version, count(*) AS requests,
       count(*) FILTER (WHERE status >= 500) AS failed,
       count(*) FILTER (WHERE status BETWEEN 400 AND 499) AS refused,
       count(*) FILTER (WHERE retries > 0) AS repeated,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms) AS p50,
       percentile_cont(0.99) WITHIN GROUP (ORDER BY latency_ms) AS p99
FROM access_log
WHERE use_case = :use_case AND received_at >= clock_timestamp() - interval '1 hour'
GROUP BY version ORDER BY version DESC NULLS LAST
""")

_COUNT_COPIES = text("""
SELECT version, count(*) AS copies FROM inference_log
WHERE use_case = :use_case AND role = 'shadow' AND received_at >= clock_timestamp() - interval '1 hour'
GROUP BY version ORDER BY version DESC
""")

_COUNT_MINUTES = text("""
WITH counted AS (
  SELECT date_trunc('minute', received_at) AS minute, coalesce(version, 0) AS version, count(*) AS requests
  FROM access_log
  WHERE use_case = :use_case AND received_at >= clock_timestamp() - interval '1 hour'
  GROUP BY 1, 2
)
SELECT minute, version, coalesce(requests, 0) AS requests
FROM generate_series(date_trunc('minute', clock_timestamp() - interval '59 minutes'),
                     date_trunc('minute', clock_timestamp()), interval '1 minute') AS minute
CROSS JOIN (SELECT DISTINCT version FROM counted) AS line
LEFT JOIN counted USING (minute, version)
ORDER BY minute, version
""")


@dataclass(frozen=True, slots=True)
class Panel:
    """A part of a model's page: `live` panels are read again every few seconds."""

    name: str
    title: str
    read: Callable[[Connection, str], PanelContent]
    live: bool = False


def read_traffic(connection: Connection, use_case: str) -> PanelContent:
    """Return the requests of the last hour as callers saw them, by the version that answered."""
    parameters = {"use_case": use_case}
    counts = connection.execute(_COUNT_REQUESTS, parameters).all()
    copies = connection.execute(_COUNT_COPIES, parameters).all()
    shadow = "; ".join(f"version {row.version} got {row.copies} copies" for row in copies)
    if not counts:
        return PanelContent(note=f"No request in the last hour{f'; {shadow}' if shadow else ''}.")
    total = sum(row.requests for row in counts)
    rows = [
        (
            _version_name(row.version),
            row.requests,
            f"{row.requests / total:.1%}",
            row.failed,
            row.refused,
            row.repeated,
            f"{row.p50:.1f}",
            f"{row.p99:.1f}",
        )
        for row in counts
    ]
    columns = ("answered by", "requests", "share", "failed", "refused", "repeated", "p50 ms", "p99 ms")
    minutes = connection.execute(_COUNT_MINUTES, parameters).all()
    lines: dict[str, list[float | None]] = {}
    for row in minutes:
        lines.setdefault(_version_name(row.version), []).append(row.requests)
    chart = Chart("requests a minute", sorted({row.minute for row in minutes}), lines)
    note = "The last hour, as the gateway logged it."
    return PanelContent(columns, rows, f"{note} In the shadow {shadow}." if shadow else note, (chart,))


def _version_name(version: int | None) -> str:
    return f"version {version}" if version else "no version"


def read_timeline(connection: Connection, use_case: str) -> PanelContent:
    """Return the newest entries of the ledger, newest first."""
    entries = ledger_entries(connection, use_case, limit=MAX_ENTRIES)
    if not entries:
        return PanelContent(note="Nothing has been decided yet: the first training registers a version.")
    columns = ("at", "event", "version", "by", "reason")
    rows = [
        (entry["at"], entry["event"], entry["version"], entry["actor"], entry["reason"]) for entry in entries
    ]
    return PanelContent(columns, rows)


def read_gates(connection: Connection, use_case: str) -> PanelContent:
    """Return the gates of the version that was trained last."""
    entry = _read_last_training(connection, use_case)
    if entry is None:
        return PanelContent(note="No version has been judged yet.")
    gates: list[Mapping[str, Any]] = entry["evidence"].get("gates", [])
    rows = [
        (
            gate["gate"],
            gate["outcome"],
            gate["severity"],
            gate["reason"],
            describe_figures(gate.get("figures")),
        )
        for gate in gates
    ]
    version = "" if entry["version"] is None else f" version {entry['version']}"
    note = f"{entry['event'].capitalize()}{version} on {entry['at']:%Y-%m-%d %H:%M} UTC: {entry['reason']}"
    return PanelContent(("gate", "outcome", "severity", "reason", "figures"), rows, note)


def read_suspected_labels(connection: Connection, use_case: str) -> PanelContent:
    """Return the test rows of the last training whose label is suspected to be wrong."""
    entry = _read_last_training(connection, use_case)
    suspected = entry and entry["evidence"].get("suspected_labels")
    if not suspected:
        return PanelContent(note="No training has looked for wrong labels yet.")
    items: list[Mapping[str, Any]] = suspected["items"]
    note = f"{suspected['count']:,} of {suspected['rows']:,} test rows of the last training."
    if not items:
        return PanelContent(note=note)
    # JSON of PostgreSQL does not keep the order of names; all rows have the same.
    last = ("label", "suggested", "margin")
    names = (*(name for name in items[0] if name not in last), *last)
    columns = tuple(name.removeprefix(INTERNAL_PREFIX) for name in names)
    rows = [_texts_of(item, names) for item in items]
    return PanelContent(columns, rows, note)


def _texts_of(item: Mapping[str, Any], names: Sequence[str]) -> tuple[str, ...]:
    return tuple(_figure_text(item.get(name)) for name in names)


def _read_last_training(connection: Connection, use_case: str) -> RowMapping | None:
    query = (
        select(ledger)
        .where(ledger.c.use_case == use_case, ledger.c.event.in_(("registered", "refused")))
        .order_by(ledger.c.id.desc())
        .limit(1)
    )
    return connection.execute(query).mappings().first()


def read_drift(connection: Connection, use_case: str) -> PanelContent:
    """Return each feature's verdict in the last monitoring run, and the share that drifted over time."""
    checks = _read_checks(connection, use_case, "drift")
    if not checks:
        return PanelContent(note="Monitoring has not run yet.")
    at, version, newest = checks[-1]
    columns = newest.get("columns") or {}
    shifts = newest.get("shifts") or {
        name: {} for name in sorted(columns, key=lambda name: not columns[name])
    }
    rows = [
        (
            name,
            "drift" if columns.get(name) else figures.get("verdict", "no drift"),
            _share(figures.get("importance")),
            _figure_text(figures.get("distance")),
            figures.get("reason") or "",
        )
        # The features that matter most come first; JSON of PostgreSQL does not keep their order.
        for name, figures in sorted(shifts.items(), key=lambda item: -item[1].get("rank", 0.0))
    ]
    outcome = str(newest.get("outcome", "")).replace("_", " ")
    note = f"{outcome} of version {version} on {at:%Y-%m-%d %H:%M} UTC: {newest.get('reason', '')}"
    if "served_rows" in newest:
        note += f"; {newest['served_rows']:,} rows served, {newest['scored_rows']:,} scored in batches"
    names = ("feature", "verdict", "importance", "distance", "what changed")
    lines = ("share", "importance_share")
    return PanelContent(names, rows, note, (_chart(checks, "drifted share, and of importance", lines),))


def read_quality(connection: Connection, use_case: str) -> PanelContent:
    """Return the quality by labels that have landed, and how many have."""
    checks = _read_checks(connection, use_case, "quality")
    if not checks:
        return PanelContent(note="Monitoring has not run yet.")
    columns = (
        "checked", "version", "outcome", "labelled", "completeness", "skill", "estimated", "reason",
    )  # fmt: skip
    rows = [
        (
            at,
            version,
            f"{quality.get('outcome', '')}{', provisional' if quality.get('provisional') else ''}",
            quality.get("labelled", 0),
            _share(quality.get("completeness")),
            _figure_text(quality.get("skill")),
            describe_figures(quality.get("estimated")),
            f"{quality.get('reason', '')}{_describe_shifts(quality.get('shifts') or {})}",
        )
        for at, version, quality in reversed(checks[-SHOWN_CHECKS:])
    ]
    chart = _chart(checks, "skill and share of labels", ("skill", "hindsight_skill", "completeness"))
    note = (
        "Skill is 1 for a perfect model and 0 for one that is no better than a constant of the training "
        "labels, or in hindsight of the window's own labels. Estimated are the metrics of the newest window "
        "before its labels land."
    )
    return PanelContent(columns, rows, note + describe_maturity(checks[-1][2]), (chart,))


def read_value(connection: Connection, use_case: str) -> PanelContent:
    """Return what the model saves, its worst slices, and the days on which its loss changed."""
    checks = _read_checks(connection, use_case, "quality")
    if not checks:
        return PanelContent(note="Monitoring has not run yet.")
    rows = [(at, version, *value_row(quality)) for at, version, quality in reversed(checks[-SHOWN_CHECKS:])]
    values = [(at, version, quality.get("value") or {}) for at, version, quality in checks]
    chart = _chart(values, "saved per 1,000 rows", ("saved", "lower", "upper"))
    return PanelContent(
        ("checked", "version", *VALUE_COLUMNS), rows, "Against doing without a model.", (chart,)
    )


def _describe_shifts(shifts: Mapping[str, Mapping[str, Any]]) -> str:
    drifted = {name: shift["effect"] for name, shift in shifts.items() if shift.get("drifted")}
    return "".join(f"; {name} shift {effect:.3g}" for name, effect in drifted.items())


def read_service(connection: Connection, use_case: str) -> PanelContent:
    """Return availability, latency and the error budget that is left."""
    checks = _read_checks(connection, use_case, "service")
    if not checks:
        return PanelContent(note="Monitoring has not run yet.")
    columns = ("checked", "version", "outcome", "requests", "failed", "availability", "p99 ms", "budget left")
    rows = [
        (
            at,
            version,
            service.get("outcome", ""),
            service.get("requests", 0),
            service.get("failed", 0),
            _share(service.get("availability"), digits=3),
            _figure_text(service.get("latency_p99")),
            _share(service.get("budget_left")),
        )
        for at, version, service in reversed(checks[-SHOWN_CHECKS:])
    ]
    charts = (_chart(checks, "budget left", ("budget_left",)), _chart(checks, "p99 in ms", ("latency_p99",)))
    return PanelContent(columns, rows, "", charts)


def read_decisions(connection: Connection, use_case: str) -> PanelContent:
    """Return the decisions of the last monitoring runs, newest first."""
    checks = _read_checks(connection, use_case, "decision")
    if not checks:
        return PanelContent(note="Monitoring has not run yet.")
    rows = [
        (at, version, decision.get("action", ""), decision.get("reason", ""))
        for at, version, decision in reversed(checks[-SHOWN_CHECKS:])
    ]
    return PanelContent(("checked", "version", "decision", "reason"), rows)


PANELS: tuple[Panel, ...] = (
    Panel("traffic", "Traffic now", read_traffic, live=True),
    Panel("servers", "Model servers", read_servers),
    Panel("timeline", "Release timeline", read_timeline, live=True),
    Panel("gates", "Gates of the last training", read_gates),
    Panel("suspected_labels", "Suspected label errors", read_suspected_labels),
    Panel("service", "Service level", read_service),
    Panel("quality", "Quality by labels", read_quality),
    Panel("value", "Value, slices and changes", read_value),
    Panel("drift", "Drift", read_drift),
    Panel("decisions", "Decisions of monitoring", read_decisions),
)


def describe_figures(figures: Mapping[str, Any] | None) -> str:
    """Return the single figures of a gate as text, without its lists and tables."""
    single = {name: value for name, value in (figures or {}).items() if isinstance(value, int | float | str)}
    return ", ".join(f"{name} {_figure_text(value)}" for name, value in list(single.items())[:8])


def _read_checks(connection: Connection, use_case: str, part: str) -> list[tuple[Any, int, dict[str, Any]]]:
    """Return time, version and the figures of one part of the last monitoring runs, oldest first."""
    table = monitoring_result.c
    query = (
        select(table.at, table.version, table.figures[part].label("part"))
        .where(table.use_case == use_case, table.figures.has_key(part))
        .order_by(table.id.desc())
        .limit(MAX_CHECKS)
    )
    rows = connection.execute(query).all()
    return [(row.at, row.version, row.part) for row in reversed(rows) if row.part]


def _chart(checks: Sequence[tuple[Any, int, dict[str, Any]]], label: str, names: tuple[str, ...]) -> Chart:
    lines: dict[str, list[float | None]] = {name: [] for name in names}
    for _, _, part in checks:
        for name, values in lines.items():
            values.append(part.get(name))
    return Chart(label, [at for at, _, _ in checks], lines)


def _share(value: float | None, *, digits: int = 0) -> str:
    return "" if value is None else f"{value:.{digits}%}"


def _figure_text(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
