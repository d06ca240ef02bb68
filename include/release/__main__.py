"""`python -m include.release flight_delay [--at 2026-05-03T12:00:00Z]`: who is or was champion, and why."""

from __future__ import annotations

import argparse
import sys
from datetime import datetime

from rich.console import Console
from rich.table import Table

from include.catalog import catalog
from include.errors import SettingsError
from include.release import ledger, rollout
from include.schema import connect
from include.stack.settings import settings


def main(arguments: list[str]) -> int:
    """Print the ledger's latest entries, or with `--at` the one that made the champion of that moment."""
    parser = argparse.ArgumentParser(prog="python -m include.release", description=__doc__)
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
            made = ledger.champion_at(connection, chosen.use_case, chosen.at)
            console.print(_story(chosen.use_case, made), markup=False)
            return 0 if made else 1
        state = rollout.read(connection, chosen.use_case)
        console.print(f"champion {state.champion}, challenger {state.challenger}, previous {state.previous}")
        console.print(_table(ledger.entries(connection, chosen.use_case, limit=chosen.limit)))
    return 0


def _story(use_case: str, made: dict[str, object] | None) -> str:
    if made is None:
        return f"{use_case} had no champion then."
    return (
        f"{use_case} version {made['version']}, {made['event']} at {made['at']} by {made['actor']}: "
        f"{made['reason']} (ledger entry {made['id']}, evidence {made['evidence']})"
    )


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
