"""`python -m include.cli.history flight_delay [--at 2026-05-03T12:00:00Z]`: the champion and the ledger."""

from __future__ import annotations

import argparse
import sys
from datetime import datetime

from rich.console import Console
from rich.table import Table

from include.catalog import catalog
from include.database import ledger
from include.database.tables import connect
from include.errors import SettingsError
from include.release import rollout
from include.release.champion_history import ChampionRecord, champion_record
from include.settings import settings


def main(arguments: list[str]) -> int:
    """Print the ledger's latest entries, or with `--at` who was champion at that moment, and why."""
    parser = argparse.ArgumentParser(prog="python -m include.cli.history", description=__doc__)
    parser.add_argument("use_case", choices=sorted(catalog().use_cases))
    parser.add_argument("--at", type=datetime.fromisoformat, help="a moment, with its time zone")
    parser.add_argument("--limit", type=int, default=20)
    chosen = parser.parse_args(arguments)
    if chosen.at and chosen.at.tzinfo is None:
        parser.error("--at needs a time zone, such as 2026-05-03T12:00:00Z")
    if not settings().database_url:
        raise SettingsError("There is no database yet: start the stack with `make up`.")
    console = Console(highlight=False)
    with connect(settings().database_url).connect() as connection:
        if chosen.at:
            found = champion_record(connection, chosen.use_case, chosen.at)
            console.print(_story(chosen.use_case, found), markup=False, soft_wrap=True)
            return 0 if found else 1
        state = rollout.read_state(connection, chosen.use_case)
        console.print(f"champion {state.champion}, challenger {state.challenger}, previous {state.previous}")
        console.print(_table(ledger.ledger_entries(connection, chosen.use_case, limit=chosen.limit)))
    return 0


def _story(use_case: str, found: ChampionRecord | None) -> str:
    if found is None:
        return f"{use_case} had no champion then."
    made = found.made
    lines = [
        f"{use_case} version {made['version']}, {made['event']} at {made['at']} by {made['actor']}: "
        f"{made['reason']} (ledger entry {made['id']}, evidence {made['evidence']})"
    ]
    lines += ["", "How it came to be:"] if found.steps else []
    for step in found.steps:
        lines.append(f"  {step['at']:%Y-%m-%d %H:%M:%S} {step['event']} by {step['actor']}: {step['reason']}")
    lines += ["", "What its gates said:"] if found.gates else []
    lines += [
        f"  {gate['outcome']:<13} {gate['gate']} ({gate['severity']}): {gate['reason']}"
        for gate in found.gates
    ]
    return "\n".join(lines)


def _table(entries: list[dict[str, object]]) -> Table:
    table = Table("id", "at", "event", "version", "actor", "reason", box=None, pad_edge=False)
    for entry in reversed(entries):
        moment, version = f"{entry['at']:%Y-%m-%d %H:%M:%S}", entry["version"]
        table.add_row(
            str(entry["id"]),
            moment,
            str(entry["event"]),
            "" if version is None else str(version),
            str(entry["actor"]),
            str(entry["reason"]),
        )
    return table


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
