"""`python -m include.cli.stack up|status|down|env`: the embedded stack from the command line."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.table import Table

from include.credentials import load_credentials
from include.errors import AirworthyError, ServiceUnavailable
from include.settings import Settings, settings
from include.stack.embedded import environment, lifecycle
from include.stack.embedded.lifecycle import addresses
from include.stack.embedded.programs import PROGRAMS

if TYPE_CHECKING:
    from collections.abc import Callable

console = Console(highlight=False, soft_wrap=True)


def up(chosen: Settings) -> int:
    """Start everything and say where it is."""
    began = time.monotonic()
    with Live(console=console, transient=True, auto_refresh=False) as live:

        def tell(problems: dict[str, str]) -> None:
            live.update(_progress(problems), refresh=console.is_terminal)

        changed = lifecycle.start_stack(chosen, tell)
    if changed:
        console.print(f"[green]The stack is up[/green] after {time.monotonic() - began:.0f} s.")
    else:
        console.print("The stack is already up; nothing was done.")
    console.print(addresses(chosen))
    return 0


def status(chosen: Settings) -> int:
    """Show every program; 1 when one does not work, 3 when the stack does not run."""
    try:
        found = lifecycle.statuses(chosen)
    except ServiceUnavailable:
        console.print(f"The stack of {chosen.root} does not run. Start it with `make up`.")
        return 3
    table = Table("program", "state", "pid", "up", "memory", box=None, pad_edge=False)
    for entry in found:
        seconds = int(time.time() - entry.state.started_at) if entry.state.pid else 0
        table.add_row(
            entry.state.name,
            f"[red]{entry.problem}[/red]" if entry.problem else "[green]works[/green]",
            str(entry.state.pid or ""),
            f"{seconds // 60}:{seconds % 60:02d}",
            f"{entry.memory / 1024**2:.0f} MB",
        )
    console.print(table)
    console.print(addresses(chosen))
    return 1 if any(entry.problem for entry in found) else 0


def down(chosen: Settings) -> int:
    """Stop everything; 1 when something would not end."""
    left = lifecycle.stop_stack(chosen)
    for process in left:
        console.print(f"[red]Process {process.pid} would not end.[/red] Try: kill -9 {process.pid}")
    if not left:
        console.print(f"The stack of {chosen.root} is down; its data stays.")
    return 1 if left else 0


def env(chosen: Settings, command: list[str]) -> int:
    """Run a command as the stack's Airflow would; without one, show the variables that are no secret."""
    if not command:
        for name, value in sorted(environment.shared(chosen).items()):
            console.print(f"{name}={value}")
        return 0
    variables = os.environ | environment.environment_of("airflow", chosen, load_credentials(chosen.root))
    return subprocess.run(command, env=variables, check=False).returncode  # noqa: S603


def main(arguments: list[str]) -> int:
    """Run one command; a problem is printed as it is, without a stack trace."""
    parser = argparse.ArgumentParser(prog="python -m include.cli.stack", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    actions: dict[str, Callable[[Settings], int]] = {"up": up, "status": status, "down": down}
    for name, action in actions.items():
        commands.add_parser(name, help=action.__doc__)
    commands.add_parser("env", help=env.__doc__).add_argument("run", nargs=argparse.REMAINDER)
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "env":
            return env(settings(), [part for part in chosen.run if part != "--"])
        return actions[chosen.command](settings())
    except AirworthyError as error:
        console.print(f"[bold red]{chosen.command} failed.[/bold red]")
        console.print(str(error), markup=False)
        return 1


def _progress(problems: dict[str, str]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    for program in PROGRAMS:
        problem = problems.get(program.name, "waits for the database")
        table.add_row(program.name, f"[yellow]{problem}[/yellow]" if problem else "[green]works[/green]")
    return table


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
