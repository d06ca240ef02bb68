"""`airworthy champion` and `airworthy history`: who decides for a use case, and what the ledger says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

from typer import Exit, Option, Typer

from include.cli.options import MODELS, AnyModel, AsJson, parse_moment
from include.cli.output import print_json, print_table, print_text

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from include.release.champion_history import ChampionRecord

NO_CHAMPION = 1
COLUMNS = ("id", "at", "event", "version", "actor", "reason")

app = Typer()


@app.command(rich_help_panel=MODELS)
def champion(
    model: AnyModel,
    at: Annotated[
        datetime | None,
        Option(parser=parse_moment, metavar="TIME", help="A moment with its time zone; default: now."),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """
    Show which version was the champion at a moment, who made it so, and the results of its gates.

    Exit code 1: there was no champion.

    [bold]Examples[/bold]
      airworthy champion flight_delay
      airworthy champion flight_delay --at 2026-05-03T12:00:00Z --json
    """
    from include.release.champion_history import champion_record

    moment = at or datetime.now(UTC)
    with connect_to_database().connect() as connection:
        _require_recorded(connection, model)
        record = champion_record(connection, model, moment)
    if as_json:
        print_json(record and record.as_json())
    else:
        print_text(describe_champion(model, moment, record))
    if record is None:
        raise Exit(NO_CHAMPION)


@app.command(rich_help_panel=MODELS)
def history(
    model: AnyModel,
    limit: Annotated[int, Option(min=1, help="How many entries of the ledger.")] = 20,
    *,
    as_json: AsJson = False,
) -> None:
    """
    Show the champion, the challenger and the latest entries of the ledger.

    [bold]Examples[/bold]
      airworthy history flight_delay
      airworthy history flight_delay --limit 100 --json
    """
    from include.database import ledger
    from include.release import rollout

    with connect_to_database().connect() as connection:
        _require_recorded(connection, model)
        state = rollout.read_state(connection, model)
        entries = ledger.ledger_entries(connection, model, limit=limit)
    if as_json:
        roles = {"champion": state.champion, "challenger": state.challenger, "previous": state.previous}
        print_json({"use_case": model, **roles, "entries": [_entry_record(entry) for entry in entries]})
        return
    print_text(f"champion {state.champion}, challenger {state.challenger}, previous {state.previous}")
    rows = [_entry_row(entry) for entry in reversed(entries)]
    print_table("ledger", COLUMNS, rows)


def _require_recorded(connection: Connection, model: str) -> None:
    """Raise DataError unless a use case of this name is declared, or the ledger has an entry about it."""
    from include.catalog import catalog
    from include.database.ledger import ledger_entries
    from include.errors import DataError

    if model not in catalog().use_cases and not ledger_entries(connection, model, limit=1):
        declared = ", ".join(sorted(catalog().use_cases))
        raise DataError(
            f"There is no model {model}: declared are {declared}, and the ledger has no entry of it."
        )


def connect_to_database() -> Engine:
    """
    Return an engine of the project's database.

    Raises
    ------
    SettingsError
        If the stack has no database yet.
    """
    from include.database.tables import connect
    from include.errors import SettingsError
    from include.settings import settings

    if not settings().database_url:
        raise SettingsError("There is no database yet: start the stack with `make up`.")
    return connect(settings().database_url)


def describe_champion(model: str, moment: datetime, record: ChampionRecord | None) -> str:
    """Return the champion of a moment as text: what made it, the steps before it, and its gates."""
    if record is None:
        return f"{model} had no champion at {moment:%Y-%m-%d %H:%M:%S %Z}."
    made = record.made
    lines = [
        f"{model} version {made['version']}, {made['event']} at {made['at']} by {made['actor']}: "
        f"{made['reason']} (ledger entry {made['id']}, evidence {made['evidence']})"
    ]
    if record.steps:
        lines += ["", "How it came to be:"]
    for step in record.steps:
        lines.append(f"  {step['at']:%Y-%m-%d %H:%M:%S} {step['event']} by {step['actor']}: {step['reason']}")
    if record.gates:
        lines += ["", "Its gates:"]
    for gate in record.gates:
        lines.append(f"  {gate['outcome']:<13} {gate['gate']} ({gate['severity']}): {gate['reason']}")
    return "\n".join(lines)


def _entry_record(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: entry[name] for name in (*COLUMNS, "evidence")}


def _entry_row(entry: dict[str, Any]) -> list[object]:
    moment = f"{entry['at']:%Y-%m-%d %H:%M:%S}"
    return [entry["id"], moment, entry["event"], entry["version"], entry["actor"], entry["reason"]]
