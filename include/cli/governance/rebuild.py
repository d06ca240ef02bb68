"""`airworthy features stale` and `rebuild`: partitions that other code built, and their runs in Airflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from typer import BadParameter, Option, Typer

from include.cli.governance.features import ViewName
from include.cli.options import AsJson

if TYPE_CHECKING:
    from include.stack.airflow_api import AirflowApi

Bound = Annotated[str, Option(metavar="PARTITION", help="Such as 2013-07-01; of hours, 2013-07-01T05.")]

RUN_TIMEOUT_S = 3_600.0

app = Typer()


@app.command("stale")
def show_stale(view: ViewName, *, as_json: AsJson = False) -> None:
    """
    Show the partitions of a view, and of the datasets that it reads, that other code built than the present.

    [bold]Example[/bold]
      airworthy features stale flight_features
    """
    from include.catalog import catalog
    from include.cli.governance.reading import open_lake
    from include.cli.output import print_json, print_table
    from include.data.build_code import current_code, stale_ranges
    from include.partitions import format_key

    lake = open_lake()
    rows: list[dict[str, Any]] = []
    for table in (view, *(source.dataset for source in catalog().feature_views[view].sources)):
        stale = stale_ranges(lake, table)
        rows.append(
            {
                "table": table,
                "code": current_code(lake, table),
                "stale": sum(map(len, stale)),
                "ranges": [format_key(part) for part in stale],
            }
        )
    if as_json:
        print_json(rows)
        return
    cells = [(row["table"], row["code"], row["stale"], ", ".join(row["ranges"])) for row in rows]
    print_table("stale partitions", ("table", "present code", "stale", "partitions"), cells)


@app.command("rebuild")
def rebuild(
    view: ViewName,
    first: Bound = "",
    last: Bound = "",
    *,
    wait: Annotated[bool, Option("--wait", help="Wait until the runs have ended.")] = False,
    as_json: AsJson = False,
) -> None:
    """
    Start runs in Airflow that build partitions of a view again: --first to --last, or all stale ones.

    Each contiguous range is one run of the view's DAG, with the leakage check and the gate of every run. Of a
    dataset that is stale, ingest the partitions first (a backfill of its DAG).

    [bold]Examples[/bold]
      airworthy features rebuild flight_features --wait
      airworthy features rebuild flight_features --first 2013-01-01 --last 2013-06-30
    """
    from include.cli.governance.reading import open_lake
    from include.cli.output import print_json, print_text
    from include.data.build_code import stale_ranges
    from include.partitions import format_key
    from include.settings import settings
    from include.stack.airflow_api import AirflowApi

    if last and not first:
        raise BadParameter("--last needs --first: without both, all stale partitions are built again.")
    if first:
        ranges = [f"{first}..{last}" if last else first]
    else:
        ranges = [format_key(part) for part in stale_ranges(open_lake(), view)]
    runs = _start_runs(AirflowApi(settings()), f"{view}_features", ranges, wait=wait)
    if as_json:
        print_json(runs)
        return
    done = "was built again" if wait else "is built again"
    for run in runs:
        print_text(f"{run['partitions']} of {view} {done}: {run['link']}")
    if not runs:
        print_text(f"no partition of {view} is stale")


def _start_runs(api: AirflowApi, dag_id: str, ranges: list[str], *, wait: bool) -> list[dict[str, str]]:
    """Start a run for each range, and wait for all of them on request."""
    runs = []
    for name in ranges:
        begin, _, end = name.partition("..")
        run_id = api.trigger(dag_id, {"first": begin, "last": end or begin})
        runs.append({"partitions": name, "run": run_id, "link": api.link(dag_id, run_id)})
    if wait:
        for run in runs:
            api.require_success(dag_id, run["run"], RUN_TIMEOUT_S)
    return runs
