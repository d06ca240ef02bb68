"""The acts of the demo, by their number, and how one is run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.errors import AirworthyError
from include.stack.airflow_api import AirflowApi
from include.stack.demo import december, story
from include.stack.demo.runs import Demo
from include.stack.embedded import lifecycle

if TYPE_CHECKING:
    from collections.abc import Callable

    from include.settings import Settings
    from include.stack.demo.console import DemoConsole

ACTS: dict[int, Callable[[Demo, DemoConsole], None]] = {1: story.run_steps, 2: december.run_december}
RECORDS = {1: "demo.json", 2: "demo-2.json"}


def run_demo(settings: Settings, console: DemoConsole, act: int = 1) -> bool:
    """Start the stack, run every step of an act, and print where to look further; return if all succeeded."""
    try:
        with console.step("The stack starts") as step:
            lifecycle.start_stack(settings, lambda problems: step.show_progress(_unhealthy(problems)))
        ACTS[act](Demo(settings, AirflowApi(settings)), console)
    except AirworthyError as error:
        console.print_failure(error)
        logs = settings.root / "logs"
        console.console.print(f"Logs are in {logs}; `make status` shows what runs.")
        return False
    console.write_record(settings.root / RECORDS[act])
    console.print_table()
    console.console.print(lifecycle.describe_addresses(settings))
    return True


def _unhealthy(problems: dict[str, str]) -> str:
    return ", ".join(name for name, problem in problems.items() if problem)
