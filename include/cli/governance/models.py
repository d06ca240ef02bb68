"""`airworthy models`: find and show models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Context, Option, Typer

from include.cli.governance.removal import Delete, Force, Reason, Yes
from include.cli.options import AnyModel, AsJson
from include.cli.output import print_json, print_table, print_text

if TYPE_CHECKING:
    from include.inference.golden_comparison import GoldenComparison

CHECK_COLUMNS = ("model", "version", "packages", "differences")
LIST_COLUMNS = ("name", "owner", "tags", "task", "views", "champion", "drift")

app = Typer(help="List, show and search models.", invoke_without_command=True)


@app.callback()
def models(context: Context, *, as_json: AsJson = False) -> None:
    """List, show and search models; without a command, list them."""
    if context.invoked_subcommand is None:
        list_models(as_json=as_json)


@app.command("list")
def list_models(*, as_json: AsJson = False) -> None:
    """
    List the models that are declared or served, with owner, tags, champion and drift.

    [bold]Example[/bold]
      airworthy models list
    """
    from include.catalog import catalog
    from include.cli.governance.reading import read_facts, served_models
    from include.governance.inventory import model_entry
    from include.governance.model_facts import ModelFacts

    names = sorted({*catalog().use_cases, *served_models()})
    facts = read_facts(names)
    entries = [model_entry(catalog(), name, facts.get(name, ModelFacts())) for name in names]
    if as_json:
        print_json(entries)
        return
    rows = []
    for entry in entries:
        owner = entry.owner if entry.declared else "(not declared)"
        words = [", ".join(names) for names in (entry.tags, entry.feature_views)]
        rows.append(
            (entry.name, owner, words[0], entry.task, words[1], entry.facts.champion, entry.facts.drift)
        )
    print_table("models", LIST_COLUMNS, rows)


@app.command("show")
def show_model(model: AnyModel, *, as_json: AsJson = False) -> None:
    """
    Show a model: its versions, and of each feature its importance and its drift.

    [bold]Example[/bold]
      airworthy models show flight_delay
    """
    from include.catalog import catalog
    from include.cli.governance.reading import read_facts
    from include.cli.governance.tables import print_model
    from include.errors import DataError
    from include.governance.inventory import model_entry
    from include.governance.model_facts import ModelFacts

    facts = read_facts([model]).get(model, ModelFacts())
    entry = model_entry(catalog(), model, facts)
    if not entry.declared and facts.version is None:
        existing = ", ".join(catalog().use_cases)
        raise DataError(
            f"There is no model {model}: it is not declared, and has no version. Declared: {existing}."
        )
    print_model(entry, as_json=as_json)


@app.command("search")
def search_models(
    text: Annotated[str, Argument(metavar="TEXT", help="Words, in any case.")], *, as_json: AsJson = False
) -> None:
    """
    Find models by words in their name, description, owner, tags and features.

    [bold]Example[/bold]
      airworthy models search late
    """
    from include.catalog import catalog
    from include.cli.governance.tables import print_matches
    from include.governance.search import search_declarations

    print_matches("models", search_declarations(catalog().use_cases.values(), text), as_json=as_json)


@app.command("check")
def check_registered_models(
    against: Annotated[Path, Option(help="Requirements file that pins each package by ==.")],
    models: Annotated[
        list[str] | None, Argument(metavar="[MODEL]...", help="Default: all models, declared or served.")
    ] = None,
    *,
    recompute: Annotated[
        bool, Option("--recompute", help="Install the packages, and predict the golden rows with them.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """
    Show which registered versions were trained with other packages than a requirements file pins.

    The packages of a version are those in its certificate. With --recompute they are installed beside the
    present ones, and each version that they concern predicts its golden rows: the largest difference from the
    training is shown. The packages of the project must be among them.

    [bold]Examples[/bold]
      airworthy models check --against requirements.txt
      airworthy models check --against requirements.txt --recompute
      airworthy models check flight_delay --against requirements.txt --json
    """
    from include.catalog import catalog
    from include.cli.governance.reading import served_models
    from include.governance.package_check import check_versions, read_pins
    from include.settings import settings

    names = models or sorted({*catalog().use_cases, *served_models()})
    pins = read_pins(against)
    uri = settings().mlflow_uri
    trusted = settings().trusted_keys
    checks = check_versions(names, pins, mlflow_uri=uri, trusted=trusted)
    if recompute:
        from include.governance.recomputed_versions import recompute_versions

        environments = settings().root / "environments"
        checks = recompute_versions(checks, against, environments, mlflow_uri=uri, trusted=trusted)
    if as_json:
        print_json(checks)
        return
    rows = []
    for check in checks:
        changes = [f"{item.package} {item.trained_with}: {item.listed}" for item in check.differences]
        row = [check.use_case, check.version, check.status, check.reason or ", ".join(changes)]
        if recompute:
            row.append(describe_comparison(check.comparison))
        rows.append(tuple(row))
    columns = (*CHECK_COLUMNS, "largest difference") if recompute else CHECK_COLUMNS
    print_table("registered versions", columns, rows)


def describe_comparison(comparison: GoldenComparison | None) -> str:
    """Return in words how predictions differ from those of the training; empty if they were not compared."""
    if comparison is None:
        return ""
    if comparison.problem:
        return f"cannot be predicted: {comparison.problem}"
    size = f"{comparison.largest_difference:.3g} in {comparison.rows} golden rows"
    return (
        f"{size}, which is rounding"
        if comparison.is_same
        else f"{size}; {comparison.rounding:.3g} is rounding"
    )


@app.command("retire")
def retire_served_model(
    model: AnyModel,
    reason: Reason,
    *,
    force: Force = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """
    Stop serving a model, whether it is declared or not; callers get 410.

    Without --yes, it shows what would stop, and who has called it in the last 24 hours. Its aliases in MLflow
    are removed; its versions, certificates and predictions stay. Exit code 1: it has callers or a rollout, or
    there is no such model.

    [bold]Examples[/bold]
      airworthy models retire long_delay --reason "replaced by delay_band"
      airworthy models retire long_delay --reason "replaced by delay_band" --yes
    """
    from include.cli.governance.removal import authorisation, stop_serving

    allowed = authorisation(reason, force=force)
    stop_serving(model, allowed, yes=yes, with_predictions=False, as_json=as_json)


@app.command("drop")
def drop_model(
    model: AnyModel,
    reason: Reason,
    *,
    delete: Delete = False,
    force: Force = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """
    Retire a model, and archive or delete the table of its batch predictions.

    Its versions stay in MLflow, since the ledger and their certificates name them.

    [bold]Example[/bold]
      airworthy models drop long_delay --reason "replaced by delay_band" --yes
    """
    from include.cli.governance.removal import authorisation, stop_serving

    allowed = authorisation(reason, delete=delete, force=force)
    stop_serving(model, allowed, yes=yes, with_predictions=True, as_json=as_json)


@app.command("reinstate")
def reinstate_model(model: AnyModel, reason: Reason, *, as_json: AsJson = False) -> None:
    """
    Allow rollouts of a retired model again; its next deployment serves a version.

    Exit code 1: it is not retired.

    [bold]Example[/bold]
      airworthy models reinstate long_delay --reason "retired by mistake"
    """
    from include.cli.champion import connect_to_database
    from include.cli.governance.removal import acting_user
    from include.release import rollout

    rollout.reinstate(connect_to_database(), model, actor=acting_user(), reason=reason)
    if as_json:
        print_json({"use_case": model, "retired": False})
    else:
        print_text(f"{model} may be rolled out again: run the DAG {model}_deployment.")
