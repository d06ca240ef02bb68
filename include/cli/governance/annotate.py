"""`airworthy annotate` and `correct`: labels by people, which land in the files of the label's dataset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option, Typer

from include.cli.governance.removal import acting_user
from include.cli.options import MODELS, AsJson, Model
from include.cli.output import print_json, print_text

if TYPE_CHECKING:
    from include.annotation.corrections import Stores, WrittenLabels

RUN_TIMEOUT_S = 600.0
# As in `include.declarations.monitoring`, which is not imported for the help.
MAX_QUEUE_ROWS = 10_000

Reason = Annotated[str, Option(metavar="TEXT", help="Why, for the ledger.")]
NoRun = Annotated[
    bool, Option("--no-run", help="Only write the files; the next ingestion of the partitions takes them.")
]

app = Typer(help="Export rows that are worth a label, and take the labels back.", no_args_is_help=True)
correct_app = Typer()


@app.command("export")
def export_rows(
    model: Model,
    rows: Annotated[
        int | None, Option(min=1, max=MAX_QUEUE_ROWS, help="How many; by default as it is declared.")
    ] = None,
    output: Annotated[Path | None, Option(metavar="FILE", help="Default: standard output.")] = None,
    *,
    suspects: Annotated[
        bool,
        Option("--suspects", help="Instead, the champion's test rows with a suspected label error."),
    ] = False,
) -> None:
    """
    Write rows of production that are worth a label as CSV, with an empty column _label to fill in.

    They have no label yet; the declared rules choose them. Personal features are left out, and a personal
    entity is a pseudonym.

    [bold]Examples[/bold]
      airworthy annotate export flight_delay > to_label.csv
      airworthy annotate export flight_delay --rows 50 --output to_label.csv
      airworthy annotate export flight_delay --suspects --output to_check.csv
    """
    from include.annotation.sheet import write_sheet
    from include.catalog import catalog
    from include.settings import settings

    use_case = catalog().use_cases[model]
    queue = _read_suspects(model, rows) if suspects else _read_queue(model, rows)
    keys = catalog().features_of(use_case).spine.label_keys
    content = write_sheet(use_case, keys, queue, settings().pseudonym_key)
    if output is None:
        print_text(content.rstrip("\n"))
    else:
        output.write_text(content)
        nothing = "no label is suspected" if suspects else "the label of each answer in the window has landed"
        print_text(f"{len(queue):,} rows of {model} are in {output}{'' if queue else f': {nothing}'}")


@app.command("import")
def take_back(
    model: Model,
    file: Annotated[Path, Argument(metavar="FILE", help="The exported file, with labels filled in.")],
    reason: Reason,
    *,
    no_run: NoRun = False,
    as_json: AsJson = False,
) -> None:
    """
    Write the labels of a file into the landed files of the label's dataset, and ingest these again.

    Rows without a label are left out. If one label is wrong, nothing is written. The same file again changes
    nothing.

    [bold]Example[/bold]
      airworthy annotate import flight_delay to_label.csv --reason "checked by the desk"
    """
    from include.annotation.corrections import import_labels
    from include.catalog import catalog
    from include.errors import DataError

    try:
        content = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read as text in UTF-8: {error}") from error
    use_case = catalog().use_cases[model]
    written = import_labels(_stores(), use_case, content, actor=acting_user(), reason=reason)
    _ingest_and_report(written, no_run=no_run, as_json=as_json)


@correct_app.command(rich_help_panel=MODELS)
def correct(
    request: Annotated[
        str,
        Argument(
            metavar="REQUEST_ID", help="An X-Request-Id, the trace id of a traceparent, or the gateway's id."
        ),
    ],
    label: Annotated[str, Argument(metavar="LABEL", help="Value of the label's column, as in the data.")],
    reason: Reason,
    row: Annotated[int | None, Option(min=1, help="Which row of a request of several, from 1.")] = None,
    *,
    no_run: NoRun = False,
    as_json: AsJson = False,
) -> None:
    """
    Correct an answer: write its right label into the landed file of the label's dataset, and ingest it again.

    [bold]Examples[/bold]
      airworthy correct 7f0c2f9e 42 --reason "the passenger called"
      airworthy correct 7f0c2f9e 0 --row 3 --reason "checked in the log of the tower"
    """
    from include.annotation.corrections import correct_answer

    stores = _stores()
    written = correct_answer(stores, request, label, row=row, actor=acting_user(), reason=reason)
    _ingest_and_report(written, no_run=no_run, as_json=as_json)


def _read_queue(model: str, rows: int | None) -> list[Any]:
    from dataclasses import replace
    from datetime import UTC, datetime

    from include.annotation.queue import select_queue
    from include.catalog import catalog
    from include.cli.champion import connect_to_database
    from include.cli.governance.reading import open_lake
    from include.database.ledger import champion_at
    from include.errors import DataError
    from include.modeling.explainability.importance import logged_importance
    from include.modeling.registration.versions import verify_version
    from include.modeling.registry.registry import Registry
    from include.monitoring.champion_check import champion_context
    from include.release.rollout import read_state
    from include.settings import settings

    lake = open_lake()
    registry = Registry(settings().mlflow_uri)
    with connect_to_database().connect() as connection:
        made = champion_at(connection, model, datetime.now(UTC))
        if made is None:
            raise DataError(f"{model} has no champion yet: there is no prediction to label.")
        version = made["version"]
        state = replace(read_state(connection, model), champion=version)
        certificate = verify_version(registry, model, version, trusted=settings().trusted_keys)
        champion = champion_context(catalog().use_cases[model], state, certificate, lake)
        importance = logged_importance(registry, model, version)
        return select_queue(champion, connection, lake, importance=importance, limit=rows)


def _read_suspects(model: str, rows: int | None) -> list[Any]:
    from datetime import UTC, datetime

    from include.annotation.queue import select_suspects
    from include.catalog import catalog
    from include.cli.champion import connect_to_database
    from include.database.ledger import champion_at
    from include.errors import DataError
    from include.modeling.registry.registry import Registry
    from include.settings import settings

    with connect_to_database().connect() as connection:
        made = champion_at(connection, model, datetime.now(UTC))
    if made is None:
        raise DataError(f"{model} has no champion yet: no label was checked.")
    registry = Registry(settings().mlflow_uri)
    return select_suspects(registry, catalog().use_cases[model], made["version"], limit=rows)


def _stores() -> Stores:
    from include.annotation.corrections import Stores
    from include.annotation.landed_labels import LandingFolder
    from include.cli.champion import connect_to_database
    from include.cli.governance.reading import open_lake
    from include.settings import settings

    landing = LandingFolder(settings().landing_uri)
    return Stores(connect_to_database(), open_lake(), landing, settings().pseudonym_key)


def _ingest_and_report(written: WrittenLabels, *, no_run: bool, as_json: bool) -> None:
    """Ingest the changed partitions, unless nothing is to run, and say what was done."""
    from dataclasses import asdict

    links = [] if no_run else [_ingest(written.dataset, key) for key in written.partitions]
    if as_json:
        print_json({**asdict(written), "runs": links})
        return
    partitions = ", ".join(written.partitions)
    text = f"{written.dataset}: {written.changed:,} of {written.labels:,} labels changed"
    print_text(f"{text} in {partitions}" if partitions else f"{text}, the files had them already")
    for link in links:
        print_text(f"ingested again: {link}")


def _ingest(dataset: str, key: str) -> str:
    """Run the ingestion of a partition or range with its gates, and return the address of the run."""
    from include.settings import settings
    from include.stack.airflow_api import AirflowApi

    api = AirflowApi(settings())
    dag_id = f"{dataset}_ingestion"
    first, _, last = key.partition("..")
    run_id = api.trigger(dag_id, {"first": first, "last": last or first})
    api.require_success(dag_id, run_id, RUN_TIMEOUT_S)
    return api.link(dag_id, run_id)
