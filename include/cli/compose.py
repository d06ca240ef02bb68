"""`airworthy compose`: the secrets and the one-time setup of the services in docker-compose.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option, Typer

from include.cli.options import AsJson
from include.cli.output import print_json, print_text

app = Typer(help="Prepare the services of docker-compose.yaml.", no_args_is_help=True)


@app.command("env")
def write_secrets(
    file: Annotated[Path, Option(help="The file to write.")] = Path(".env"), *, as_json: AsJson = False
) -> None:
    """
    Write the secrets of docker-compose.yaml into a new file that only its owner can read.

    Exit code 1: the file exists.

    [bold]Example[/bold]
      airworthy compose env
    """
    from include.stack.compose.env import write_env_file

    write_env_file(file)
    if as_json:
        print_json({"file": file})
    else:
        print_text(f"{file} was written. Start the services with `docker compose up --build --wait`.")


@app.command()
def setup(
    steps: Annotated[
        list[str], Argument(metavar="STEP...", help="databases, buckets, keys, login, connections")
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """
    Run steps of the setup in the given order: databases, buckets, keys, login, connections.

    docker-compose.yaml runs each step in the service that needs it.

    [bold]Example[/bold]
      airworthy compose setup buckets
    """
    from include.stack.compose.setup import run_setup

    run_setup(steps)
    if as_json:
        print_json({"steps": steps})
