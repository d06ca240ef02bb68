"""`airworthy new`: the declarations of a model that follow from a table."""

from __future__ import annotations

import sys
from inspect import Parameter, Signature, signature
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

from typer import Argument, Option, Typer, prompt

from include.cli.options import MODELS, AsJson
from include.cli.output import print_json, print_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from include.scaffold.create import NewModel

MAX_SHOWN_FILES = 3

VAR_KEYWORD = Parameter.VAR_KEYWORD
ANSWERS = {
    "label": "Column to predict.",
    "time": "Column of the time, a date and an hour such as date,hour, or none.",
    "entity": "Column that says what a row is about, or none.",
    "task": "binary, multiclass or regression.",
    "owner": "Team that owns the model.",
}

app = Typer()

Source = Annotated[
    str, Argument(metavar="SOURCE", help="A CSV or Parquet file, or postgresql://user:password@host/db.")
]


def _with_question_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command one option for each question, which are its other keyword arguments."""
    declared = [
        parameter for parameter in signature(function).parameters.values() if parameter.kind != VAR_KEYWORD
    ]
    hints = get_type_hints(function, include_extras=True)
    parameters = [parameter.replace(annotation=hints[parameter.name]) for parameter in declared]
    for name, text in ANSWERS.items():
        annotation = Annotated[str | None, Option(help=text, rich_help_panel="Answers to the questions")]
        parameters.append(Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=annotation))
    function.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return function


@app.command(rich_help_panel=MODELS)
@_with_question_options
def new(
    source: Source,
    name: Annotated[str | None, Option(help="Name of the model; default: that of the file.")] = None,
    table: Annotated[str | None, Option(help="Table of the database, such as public.orders.")] = None,
    query: Annotated[str | None, Option(help="Query of the database.")] = None,
    *,
    dry_run: Annotated[bool, Option("--dry-run", help="Show the files and write none.")] = False,
    force: Annotated[bool, Option("--force", help="Replace files that exist.")] = False,
    as_json: AsJson = False,
    **requested: str | None,
) -> None:
    """
    Declare a model of a table: look at its rows, guess, ask at most five questions, write the files.

    Questions that an option answers are not asked; with --json or without a terminal, none is.

    [bold]Examples[/bold]
      airworthy new bikes.csv
      airworthy new customers.csv --label churned --owner crm < /dev/null
      airworthy new readings.parquet --time measured_at --entity sensor --dry-run
      airworthy new postgresql://reader@db/shop --table orders --time placed_at
    """
    from include.scaffold import create
    from include.scaffold.tables import read_source_table
    from include.settings import settings

    is_silent = as_json or not sys.stdin.isatty()

    def ask(question: str, text: str, guess: str) -> str:
        answer = requested[question]
        if answer is not None:
            return answer
        return guess if is_silent else str(prompt(text, default=guess))

    model = create.plan_model(read_source_table(source, table=table, query=query), name, ask)
    if not force:
        create.require_free(model)
    landing_uri = settings().landing_uri
    n_files = len(create.landing_paths(model)) if dry_run else create.write_model(model, landing_uri)
    record = _record(model, n_files, landing_uri, written=not dry_run)
    if as_json:
        print_json(record)
    else:
        _print_model(model, record)


def _record(model: NewModel, n_files: int, landing_uri: str, *, written: bool) -> dict[str, Any]:
    from include.scaffold import create

    plan = model.plan
    choices = plan.choices
    return {
        "model": plan.name,
        "label": choices.label,
        "entity": choices.entity,
        "time": list(choices.time),
        "task": choices.task,
        "owner": choices.owner,
        "key": plan.key,
        "key_parts": plan.key_parts,
        "features": plan.features,
        "excluded": {**plan.excluded, **dict.fromkeys(model.unusable, "no declaration can hold it")},
        "rows": plan.n_rows,
        "days": len(plan.calendar_days) or None,
        "files": [str(path) for path in create.target_paths(model)],
        "landing_files": n_files,
        "landing_uri": landing_uri,
        "written": written,
    }


def _print_model(model: NewModel, record: dict[str, Any]) -> None:
    time = " and ".join(record["time"]) or "none: its rows are split at random"
    days = "" if record["days"] is None else f" of {record['days']} days"
    print_text(f"{record['rows']:,} rows{days}; task: {record['task']}; owner: {record['owner']}")
    made_of = f", made of {' and '.join(record['key_parts'])}" if record["key_parts"] else ""
    print_text(f"label: {record['label']}; time: {time}; key of a row: {record['key']}{made_of}")
    print_text(f"features: {', '.join(record['features'])}")
    for column, reason in record["excluded"].items():
        print_text(f"  left out: {column}: {reason}")
    if not record["written"]:
        for path, text in zip(record["files"], model.files.values(), strict=True):
            print_text(f"\n# {path}\n{text}")
        print_text(f"{record['landing_files']} landing files would be written below {record['landing_uri']}.")
        return
    print_text(f"{record['landing_files']} landing files below {record['landing_uri']}")
    for path in record["files"]:
        print_text(f"wrote {path}")
    print_text(f"Next: airworthy validate {record['model']}, then airworthy launch {record['model']}")
