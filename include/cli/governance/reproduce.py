"""`airworthy reproduce`: train a version again, with the code and the packages that it was trained with."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

from typer import Argument, Exit, Option, Typer

from include.cli.champion import connect_to_database
from include.cli.governance.removal import acting_user
from include.cli.options import MODELS, AsJson, Model
from include.cli.output import print_json, print_text

if TYPE_CHECKING:
    from include.modeling.pipeline.reproduce import Reproduction

DIFFERENT = 1
UNKNOWN_COMMAND = 2

app = Typer()


@app.command("reproduce", rich_help_panel=MODELS)
def reproduce_version(
    model: Model,
    version: Annotated[int, Argument(metavar="VERSION", help="A registered version.")],
    here: Annotated[
        bool, Option("--here", help="With the present code and packages, not those of the version.")
    ] = False,
    *,
    as_json: AsJson = False,
) -> None:
    """
    Train a version again from its certificate, and compare all predictions bit by bit.

    The commit is checked out into a temporary worktree, its lock is installed with uv, and the snapshot is
    read as it was. Nothing is registered. The result is logged with the version's run and in the ledger.

    Exit code 1: the predictions differ, or the version could not be trained again.

    [bold]Examples[/bold]
      airworthy reproduce flight_delay 3
      airworthy reproduce flight_delay 3 --here
    """
    if not here:
        raise Exit(_reproduce_there(model, version, as_json=as_json))
    result = _reproduce_here(model, version)
    if as_json:
        print_json(result)
    else:
        print_text(f"{result.outcome}: {result.reason}")
    if result.outcome not in ("identical", "equal"):
        raise Exit(DIFFERENT)


def _reproduce_there(model: str, version: int, *, as_json: bool) -> int:
    """Run the command with the code and packages of the version; return its exit code."""
    from include.certificates.certificate import verify_signature
    from include.errors import SettingsError
    from include.inference.download import download_certificate
    from include.modeling.pipeline.past_environment import past_environment
    from include.settings import settings

    values = settings()
    content = download_certificate(values.mlflow_uri, model, version)
    certificate = verify_signature(content, values.trusted_keys, f"the certificate of {model} {version}")
    variables = {
        "AIRWORTHY_HOME": str(values.root),
        "AIRWORTHY_DATABASE_URL": values.database_url,
        "AIRWORTHY_MLFLOW_URI": values.mlflow_uri,
        "AIRWORTHY_LAKE_URI": values.lake_uri,
    }
    arguments = ["reproduce", model, str(version), "--here", *(["--json"] if as_json else [])]
    with past_environment(certificate, values.root / "environments") as past:
        code = past.run(arguments, variables)
    if code == UNKNOWN_COMMAND:
        raise SettingsError(
            f"The code of {model} version {version}, commit {certificate.code_version}, has no such command. "
            "Check it out, install its lock, start its stack, and trigger the DAG `reproduction` there."
        )
    return code


def _reproduce_here(model: str, version: int) -> Reproduction:
    """Reproduce a version with this process, and record the result in the ledger."""
    from dataclasses import asdict

    from include.catalog import catalog
    from include.data.lake.delta_tables import Lake
    from include.database.ledger import Entry, append
    from include.modeling.pipeline.reproduce import reproduce
    from include.modeling.pipeline.workspace import Workspace
    from include.modeling.registry.registry import Registry
    from include.modeling.training.build import estimator_builder
    from include.settings import settings

    values = settings()
    engine = connect_to_database()
    use_case = catalog().use_cases[model]
    with TemporaryDirectory(prefix=f"{model}-") as folder:
        registry = Registry(values.mlflow_uri, engine)
        workspace = Workspace(registry, use_case, Path(folder), values.signing_key.parent)
        result = reproduce(workspace, estimator_builder(model), Lake(values.lake_uri), version)
    key = f"{acting_user()}/{uuid4()}/reproduce"
    entry = Entry(model, "reproduced", acting_user(), result.reason, version, asdict(result), key)
    with engine.begin() as connection:
        append(connection, entry)
    return result
