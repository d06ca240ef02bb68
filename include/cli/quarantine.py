"""`airworthy quarantine`: show the rejected rows of a dataset, release or discard them."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

from typer import BadParameter, Option, Typer

from include.cli.options import AsJson, DatasetName, parse_day
from include.cli.output import print_json, print_text

if TYPE_CHECKING:
    import pandas as pd

RUN_TIMEOUT_S = 600.0

First = Annotated[
    date | None, Option(parser=parse_day, metavar="DAY", help="Only rows of this day, or from it to --last.")
]
Last = Annotated[date | None, Option(parser=parse_day, metavar="DAY", help="The last day; needs --first.")]
Rows = Annotated[
    list[str] | None, Option("--row", metavar="ID", help="Only the row with this id; may be repeated.")
]
Reason = Annotated[str, Option(metavar="TEXT", help="Only rows with this text in a reason.")]
Comment = Annotated[str, Option(metavar="TEXT", help="Why, for the ledger.")]

app = Typer(help="Show, release and discard the rejected rows of a dataset.", no_args_is_help=True)


@app.command("list")
def list_rows(
    dataset: DatasetName,
    first: First = None,
    last: Last = None,
    rows: Rows = None,
    reason: Reason = "",
    *,
    as_json: AsJson = False,
) -> None:
    """
    Count the rejected rows by day and reason.

    [bold]Examples[/bold]
      airworthy quarantine list flights
      airworthy quarantine list flights --first 2013-07-01 --last 2013-07-07 --json
    """
    from include.data.quarantine import queue

    pending = _pending_rows(dataset, first, last, rows, reason)
    summary = queue.pending_summary(pending) if len(pending) else pending[:0]
    _print_rows(dataset, len(pending), summary, "reasons", as_json=as_json)


@app.command()
def show(
    dataset: DatasetName,
    first: First = None,
    last: Last = None,
    rows: Rows = None,
    reason: Reason = "",
    *,
    reveal: Annotated[bool, Option("--reveal", help="Show the values of personal columns, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """
    Show each rejected row with its id, its reasons and its values; those of personal columns are masked.

    [bold]Examples[/bold]
      airworthy quarantine show flights --first 2013-07-01 --reason distance
      airworthy quarantine show flights --row 7b57da148ef310fd --json
    """
    from include.catalog import catalog
    from include.data.quarantine import queue
    from include.declarations.data.columns import personal_names

    pending = _pending_rows(dataset, first, last, rows, reason)
    masked = () if reveal else personal_names(catalog().datasets[dataset].columns)
    readable = queue.readable(pending, masked) if len(pending) else pending[:0]
    _print_rows(dataset, len(pending), readable, "values", as_json=as_json)


@app.command()
def release(
    dataset: DatasetName,
    first: First = None,
    last: Last = None,
    rows: Rows = None,
    reason: Reason = "",
    comment: Comment = "",
    *,
    as_json: AsJson = False,
) -> None:
    """
    Check the chosen rows by today's declaration, and merge those that pass into their partition.

    It runs the DAG DATASET_quarantine and waits for it. Without a choice, every rejected row is meant.
    Exit code 1: no row may be released, or the run failed.

    [bold]Example[/bold]
      airworthy quarantine release flights --first 2013-07-01 --comment "a new route"
    """
    conf = _run_conf("release", first, last, rows, reason, comment)
    run, figures = _run_dag(dataset, conf, "figures")
    figures = figures or {"released": 0, "kept": {}}
    if as_json:
        print_json({"dataset": dataset, **run, **figures})
        return
    counts = f"{figures['released']:,} rows released, {len(figures['kept']):,} kept"
    print_text(f"{dataset}: {counts} ({run['link']})")
    for row, why in figures["kept"].items():
        print_text(f"  {row} stays: {why}")


@app.command()
def discard(
    dataset: DatasetName,
    comment: Annotated[str, Option(metavar="TEXT", help="Why, for the ledger.")],
    first: First = None,
    last: Last = None,
    rows: Rows = None,
    reason: Reason = "",
    *,
    as_json: AsJson = False,
) -> None:
    """
    Take the chosen rows out of the quarantine for good; the ledger keeps their ids and the comment.

    It runs the DAG DATASET_quarantine and waits for it. Without a choice, every rejected row is meant.
    Exit code 1: the run failed.

    [bold]Example[/bold]
      airworthy quarantine discard flights --row 7b57da148ef310fd --comment "a test flight"
    """
    conf = _run_conf("discard", first, last, rows, reason, comment)
    run, discarded = _run_dag(dataset, conf, "return_value")
    if as_json:
        print_json({"dataset": dataset, **run, "discarded": discarded})
    else:
        print_text(f"{dataset}: {discarded:,} rows discarded ({run['link']})")


def _pending_rows(
    dataset: str, first: date | None, last: date | None, rows: list[str] | None, reason: str
) -> pd.DataFrame:
    from include.catalog import catalog
    from include.cli.champion import connect_to_database
    from include.data.lake.delta_tables import Lake
    from include.data.quarantine.queue import Quarantine, RowFilter, pending
    from include.settings import settings

    _require_range(first, last)
    quarantine = Quarantine(catalog().datasets[dataset], Lake(settings().lake_uri), connect_to_database())
    return pending(quarantine, RowFilter(first, last, tuple(rows or ()), reason))


def _print_rows(dataset: str, count: int, frame: pd.DataFrame, key: str, *, as_json: bool) -> None:
    from include.storage.html_tables import format_table

    if as_json:
        records = frame.astype(object).where(frame.notna(), None).to_dict("records")
        print_json({"dataset": dataset, "rows": count, key: records})
        return
    print_text(f"{dataset}: {count:,} rejected rows wait")
    if count:
        print_text(format_table(frame))


def _require_range(first: date | None, last: date | None) -> None:
    if last and not first:
        raise BadParameter("Give --first too: the day from which on rows are meant.")


def _run_conf(
    action: str,
    first: date | None,
    last: date | None,
    rows: list[str] | None,
    reason: str,
    comment: str,
) -> dict[str, Any]:
    _require_range(first, last)
    days = {"first": first and str(first), "last": last and str(last)}
    return {
        "action": action,
        **days,
        "rows": rows or [],
        "reason": reason or None,
        "comment": comment or None,
    }


def _run_dag(dataset: str, conf: dict[str, Any], xcom_key: str) -> tuple[dict[str, Any], Any]:
    """
    Run the quarantine DAG, the only way in which rows leave the queue.

    Returns
    -------
    tuple
        The run's id and address, and the value that the task of the action pushed under `xcom_key`.
    """
    from include.settings import settings
    from include.stack.airflow_api import AirflowApi

    api = AirflowApi(settings())
    dag_id = f"{dataset}_quarantine"
    run_id = api.trigger(dag_id, conf)
    api.require_success(dag_id, run_id, RUN_TIMEOUT_S)
    run = {"run": run_id, "link": api.link(dag_id, run_id)}
    return run, api.xcom(dag_id, run_id, conf["action"], xcom_key)
