"""`airworthy replay`: past days of a model under several strategies of retraining."""

from __future__ import annotations

import logging
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import BadParameter, Option, Typer

from include.cli.options import MODELS, AsJson, Model, parse_day
from include.cli.output import print_json, print_table, print_text

if TYPE_CHECKING:
    from include.replay.journal import DayRecord
    from include.replay.player import Replay

app = Typer()


@app.command(rich_help_panel=MODELS)
def replay(
    model: Model,
    first: Annotated[date, Option(parser=parse_day, metavar="DAY", help="First day that is played.")],
    last: Annotated[date, Option(parser=parse_day, metavar="DAY", help="Last day that is played.")],
    folder: Annotated[Path, Option(help="Folder of the replay, which goes on there after a stop.")],
    *,
    every: Annotated[int, Option(min=1, help="Nights from one scheduled training to the next.")] = 1,
    share: Annotated[
        float, Option(min=0.001, max=1.0, help="Share of the rows to predict that is used.")
    ] = 1.0,
    as_json: AsJson = False,
) -> None:
    """
    Play past days of a model: trained by schedule, when the governor asks for it, or only once.

    It needs the landed files only, and no stack. Progress is on standard error; the folder gets the result
    as `result.json` and charts of the weeks as SVG.

    [bold]Example[/bold]
      airworthy feed --until 2014-01-01
      airworthy replay flight_delay --first 2013-03-01 --last 2013-12-31 --folder replay --share 0.25
    """
    from include.replay import report
    from include.replay.player import play_all
    from include.replay.results import summarise

    if first > last:
        raise BadParameter(f"The first day {first} is after the last day {last}.")
    prepared = _open_replay(model, first, last, folder, every=every, share=share)
    records = play_all(prepared, lambda strategy, record: _show_day(strategy, record, last))
    results = [summarise(prepared, strategy, days) for strategy, days in records.items()]
    use_case = prepared.use_case
    charts = report.write_charts(use_case, results, folder)
    content = _as_content(model, first, last, results, every=every, share=share)
    (folder / "result.json").write_text(content["text"])
    if as_json:
        print_json(content["result"])
        return
    columns = (report.COLUMNS[0], *report.table_metrics(use_case), *report.COLUMNS[1:])
    print_table(f"{model} from {first} to {last}", columns, report.result_rows(use_case, results))
    for path in (folder / "result.json", *charts):
        print_text(str(path))


def _open_replay(model: str, first: date, last: date, folder: Path, *, every: int, share: float) -> Replay:
    """Return the replay, whose datasets and features are published in its folder."""
    from include.catalog import catalog
    from include.data.lake.delta_tables import Lake
    from include.partitions import day_of
    from include.replay.history import publish_history
    from include.replay.journal import require_same_settings
    from include.replay.lakes import FrozenLake
    from include.replay.player import LAKE, Replay
    from include.replay.versions import VersionStore, without_budgets

    use_case = without_budgets(catalog().use_cases[model])
    folder.mkdir(parents=True, exist_ok=True)
    require_same_settings(folder, {"model": model, "first": f"{first}", "every": every, "share": share})
    lake_folder = folder / LAKE
    logging.basicConfig(format="%(message)s")
    logging.getLogger("include.replay").setLevel(logging.INFO)
    _log(f"publishing the datasets and features until {last} in {lake_folder}")
    refused = publish_history(use_case, Lake(str(lake_folder)), last, share=share)
    faults = {table: set(map(day_of, partitions)) for table, partitions in refused.items()}
    versions = VersionStore(use_case, FrozenLake(str(lake_folder)), folder / "versions")
    return Replay(use_case, folder, versions, first, last, every, faults)


def _as_content(
    model: str, first: date, last: date, results: Any, *, every: int, share: float
) -> dict[str, Any]:
    from pydantic_core import to_json

    result = {
        "model": model, "first": first, "last": last, "every": every, "share": share, "strategies": results,
    }  # fmt: skip
    return {"result": result, "text": to_json(result, indent=1, inf_nan_mode="null").decode()}


def _show_day(strategy: str, record: DayRecord, last: date) -> None:
    trainings = "; ".join(
        f"version {training.version} {training.conclusion}" for training in record.trainings
    )
    action = record.check.action if record.check else "no champion"
    _log(f"{strategy} {record.day} of {last}: {action}{f'; {trainings}' if trainings else ''}")


def _log(text: str) -> None:
    from sys import stderr

    stderr.write(f"{text}\n")
    stderr.flush()
