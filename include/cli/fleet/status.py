"""`airworthy status` and `airworthy fleet report`: all models, for people who run them and for auditors."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import BadParameter, Option, Typer

from include.cli.options import MODELS, AsJson
from include.cli.output import print_json, print_table, print_text

if TYPE_CHECKING:
    from include.fleet.overview import FleetEntry

COLUMNS = ("model", "owner", "risk", "status", "champion", "challenger", "last training", "drift", "budget")

app = Typer()
fleet_app = Typer(help="Report on all models, present and past.", no_args_is_help=True)


@app.command("status", rich_help_panel=MODELS)
def show_models(
    search: Annotated[
        str, Option(metavar="TEXT", help="Only models with these words in name, owner, task or status.")
    ] = "",
    *,
    as_json: AsJson = False,
) -> None:
    """
    Show all models: what serves, what is released, how the last training and monitoring ended.

    Of the programs of the stack: `airworthy stack status`.

    [bold]Examples[/bold]
      airworthy status
      airworthy status --search releasing --json
    """
    from include.catalog import catalog
    from include.cli.champion import connect_to_database
    from include.fleet.overview import read_fleet, select_entries

    with connect_to_database().connect() as connection:
        entries = select_entries(read_fleet(connection, catalog().use_cases), search)
    if as_json:
        print_json(entries)
    else:
        print_table("models", COLUMNS, [_cells(entry) for entry in entries])


@fleet_app.command("report")
def write_audit_report(
    csv: Annotated[Path | None, Option(metavar="FILE", help="Write the table as CSV.")] = None,
    html: Annotated[Path | None, Option(metavar="FILE", help="Write the table as a page.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """
    Write owner, risk, champion, gates, approvals and counts of decisions of all models, also of past ones.

    [bold]Examples[/bold]
      airworthy fleet report --csv fleet.csv --html fleet.html
      airworthy fleet report --json
    """
    from include.catalog import catalog
    from include.cli.champion import connect_to_database
    from include.fleet.audit_report import read_audit_rows

    if not (csv or html or as_json):
        raise BadParameter("Say what to write: --csv FILE, --html FILE or --json.")
    moment = datetime.now(UTC)
    with connect_to_database().connect() as connection:
        rows = read_audit_rows(connection, catalog().use_cases, moment)
    for path, write in ((csv, _write_csv), (html, _write_page)):
        if path is not None:
            write(path, rows, moment)
    if as_json:
        print_json(rows)
    else:
        print_text(f"{len(rows)} models: {', '.join(str(path) for path in (csv, html) if path)}")


def _write_csv(path: Path, rows: list[Any], _: datetime) -> None:
    from include.fleet.audit_report import audit_frame

    audit_frame(rows).to_csv(path, index=False)


def _write_page(path: Path, rows: list[Any], moment: datetime) -> None:
    from include.fleet.audit_report import audit_frame
    from include.storage.html_tables import render_table_page

    note = f"All models, present and past, at {moment:%Y-%m-%d %H:%M} UTC, from the ledger."
    path.write_text(render_table_page("Fleet", note, audit_frame(rows), max_rows=len(rows)), "utf-8")


def _cells(entry: FleetEntry) -> tuple[object, ...]:
    challenger = f"{entry.challenger} ({entry.challenger_share:.0%})" if entry.challenger else ""
    budget = "" if entry.budget_left is None else f"{entry.budget_left:.0%}"
    conditions = {"frozen": entry.frozen, "paused": entry.paused, "not monitored": entry.silent_since}
    state = ", ".join([entry.status, *(name for name, is_met in conditions.items() if is_met)])
    return (
        entry.name, entry.owner, entry.risk, state, entry.champion or "", challenger, entry.verdict,
        entry.drift, budget,
    )  # fmt: skip
