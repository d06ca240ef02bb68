"""`airworthy stack`: start, show and stop the embedded stack, or run a command in its environment."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Exit, Option, Typer

from include.cli.options import AsJson
from include.cli.output import open_console, print_json, print_text
from include.errors import SettingsError

if TYPE_CHECKING:
    from rich.table import Table

    from include.settings import Settings
    from include.stack.embedded.lifecycle import Status

NOT_WORKING = 1
NOT_RUNNING = 3

app = Typer(help="Start, show and stop the embedded stack.", no_args_is_help=True)


@app.command()
def up(*, as_json: AsJson = False) -> None:
    """
    Start every program of the stack and wait until all of them work.

    What runs already is left alone.

    [bold]Examples[/bold]
      airworthy stack up
      AIRWORTHY_AIRFLOW_PORT=8180 airworthy stack up --json
    """
    from rich.live import Live

    from include.settings import settings
    from include.stack.embedded import lifecycle

    console = open_console()
    started_at = time.monotonic()
    with Live(console=console, transient=True, auto_refresh=False) as live:

        def show_progress(problems: dict[str, str]) -> None:
            live.update(_progress_table(problems), refresh=console.is_terminal and not as_json)

        changed = lifecycle.start_stack(settings(), show_progress)
    seconds = time.monotonic() - started_at
    if as_json:
        print_json({"changed": changed, "seconds": seconds, **_places(settings())})
        return
    if changed:
        console.print(f"[green]The stack is up[/green] after {seconds:.0f} s.")
    else:
        console.print("The stack is already up; nothing was done.")
    print_text(lifecycle.describe_addresses(settings()))


@app.command()
def status(*, as_json: AsJson = False) -> None:
    """
    Show each program, its state and its memory.

    Exit code 1: a program does not work. Exit code 3: the stack does not run.

    [bold]Examples[/bold]
      airworthy stack status
      airworthy stack status --json
    """
    from include.errors import ServiceUnavailable
    from include.settings import settings
    from include.stack.embedded import lifecycle

    try:
        statuses = lifecycle.statuses(settings())
    except ServiceUnavailable:
        if as_json:
            print_json({"running": False, "programs": [], **_places(settings())})
        else:
            print_text(f"The stack of {settings().root} does not run. Start it with `make up`.")
        raise Exit(NOT_RUNNING) from None
    if as_json:
        programs = [_program_record(program) for program in statuses]
        print_json({"running": True, "programs": programs, **_places(settings())})
    else:
        open_console().print(_status_table(statuses))
        print_text(lifecycle.describe_addresses(settings()))
    if any(program.problem for program in statuses):
        raise Exit(NOT_WORKING)


@app.command()
def down(*, as_json: AsJson = False) -> None:
    """
    Stop every program of the stack; its data stays.

    Exit code 1: a process would not end.

    [bold]Example[/bold]
      airworthy stack down
    """
    from include.settings import settings
    from include.stack.embedded import lifecycle

    remaining = lifecycle.stop_stack(settings())
    if as_json:
        print_json({"home": settings().root, "remaining": [process.pid for process in remaining]})
    elif remaining:
        for process in remaining:
            print_text(f"Process {process.pid} would not end. Try: kill -9 {process.pid}")
    else:
        print_text(f"The stack of {settings().root} is down; its data stays.")
    if remaining:
        raise Exit(NOT_WORKING)


@app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def env(
    command: Annotated[
        list[str] | None, Argument(metavar="[COMMAND]...", help="What to run; nothing prints the variables.")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """
    Run a command with the variables of the stack's Airflow, or print those that hold no secret.

    The exit code is that of the command.

    [bold]Examples[/bold]
      airworthy stack env
      airworthy stack env airflow dags list
    """
    from include.credentials import load_credentials
    from include.settings import settings
    from include.stack.embedded import environment

    words = [word for word in command or [] if word != "--"]
    if words:
        airflow = environment.environment_of("airflow", settings(), load_credentials(settings().root))
        # The programs of this environment, such as `airflow`, come first.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        program = which(words[0], path=path)
        if program is None:
            raise SettingsError(f"There is no command {words[0]}. Check its name, or give its whole path.")
        variables = os.environ | airflow | {"PATH": path}
        process = subprocess.run([program, *words[1:]], env=variables, check=False)  # noqa: S603
        raise Exit(process.returncode)
    shared = environment.shared(settings())
    if as_json:
        print_json(shared)
        return
    for name, value in sorted(shared.items()):
        print_text(f"{name}={value}")


@app.command("observe")
def run_prometheus(
    port: Annotated[int, Option(min=1024, max=65535, help="Port of Prometheus on 127.0.0.1.")] = 9090,
    token_file: Annotated[
        Path | None, Option(help="File with a token of the scope --metrics, where callers need one.")
    ] = None,
) -> None:
    """
    Run Prometheus beside the stack, with the alert rules of docker/prometheus; Ctrl-C ends it.

    [bold]Examples[/bold]
      airworthy stack observe
      airworthy stack observe --port 9190 --token-file token
    """
    from include.settings import settings
    from include.stack.embedded.prometheus import prometheus_command

    command = prometheus_command(settings(), port, token_file)
    print_text(f"Prometheus: http://127.0.0.1:{port}/alerts")
    os.execv(command[0], command)  # noqa: S606


def _places(settings: Settings) -> dict[str, Any]:
    from include.stack.embedded.lifecycle import addresses

    return {"home": settings.root, "addresses": addresses(settings)}


def _program_record(program: Status) -> dict[str, Any]:
    return {
        "name": program.state.name,
        "state": program.state.state,
        "problem": program.problem,
        "pid": program.state.pid,
        "seconds": _seconds_up(program),
        "memory_bytes": program.memory,
    }


def _seconds_up(program: Status) -> int:
    return int(time.time() - program.state.started_at) if program.state.pid else 0


def _status_table(statuses: list[Status]) -> Table:
    from rich.table import Table

    table = Table("program", "state", "pid", "up", "memory", box=None, pad_edge=False)
    for program in statuses:
        minutes, seconds = divmod(_seconds_up(program), 60)
        table.add_row(
            program.state.name,
            f"[red]{program.problem}[/red]" if program.problem else "[green]works[/green]",
            str(program.state.pid or ""),
            f"{minutes}:{seconds:02d}",
            f"{program.memory / 1024**2:.0f} MB",
        )
    return table


def _progress_table(problems: dict[str, str]) -> Table:
    from rich.table import Table

    from include.stack.embedded.programs import PROGRAMS

    table = Table(box=None, pad_edge=False, show_header=False)
    for program in PROGRAMS:
        problem = problems.get(program.name, "waits for the database")
        table.add_row(program.name, f"[yellow]{problem}[/yellow]" if problem else "[green]works[/green]")
    return table
