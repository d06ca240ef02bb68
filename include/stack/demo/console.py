"""The output of the demo: its steps while they run, and a table of their results at the end."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from include.errors import describe_failure

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rich.status import Status

TABLE_WIDTH = 110
PIPE_WIDTH = 140  # characters per line where the output is not a terminal


@dataclass
class Step:
    """
    One step of the demo.

    Attributes
    ----------
    title
        What the step does.
    status
        The line that shows its progress.
    details
        Lines that are printed when the step ends.
    results
        Those of them that are in the table at the end, too.
    seconds
        How long it took.
    """

    title: str
    status: Status
    details: list[str] = field(default_factory=list)
    results: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def show_progress(self, text: str) -> None:
        """Show what the step is doing."""
        self.status.update(f"{self.title} [dim]{text}[/dim]")

    def add_result(self, text: str) -> None:
        """Add a line to the output of the step, and to the table at the end."""
        self.details.append(text)
        self.results.append(text)

    def add_detail(self, text: str) -> None:
        """Add a line to the output of the step alone."""
        self.details.append(text)


class DemoConsole:
    """Prints the steps of the demo, one after the other, and the table of all of them."""

    def __init__(self, *, stderr: bool = False) -> None:
        self.console = Console(highlight=False, soft_wrap=True, stderr=stderr)
        if not self.console.is_terminal:
            self.console = Console(highlight=False, soft_wrap=True, stderr=stderr, width=PIPE_WIDTH)
        self.steps: list[Step] = []
        self.started_at = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since the start of the demo."""
        return time.monotonic() - self.started_at

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Show a step while it runs, then its duration and its results."""
        started_at = time.monotonic()
        with self.console.status(title) as status:
            step = Step(title, status)
            self.steps.append(step)
            yield step
        step.seconds = time.monotonic() - started_at
        self.console.print(f"[green]✓[/green] {title} [dim]{step.seconds:.0f} s[/dim]")
        for detail in step.details:
            self.console.print(f"    {detail}", style="dim")

    def record(self) -> dict[str, Any]:
        """Return how long the demo and each of its steps took, in seconds."""
        steps = {step.title: round(step.seconds, 2) for step in self.steps}
        return {"seconds": round(self.seconds, 2), "steps": steps}

    def write_record(self, path: Path) -> None:
        """Write the record into a file as JSON."""
        path.write_text(json.dumps(self.record(), indent=1) + "\n")

    def print_failure(self, error: Exception) -> None:
        """Print which step failed, and why."""
        title = self.steps[-1].title if self.steps else "Before the first step"
        details = self.steps[-1].details if self.steps else []
        self.console.print(f"[bold red]✗ {title}[/bold red] failed after {self.seconds:.0f} s.")
        for detail in details:
            self.console.print(f"    {detail}", style="dim", markup=False)
        self.console.print(describe_failure(error), markup=False)

    def print_table(self) -> None:
        """Print every step with its results and its duration."""
        width = min(self.console.width, TABLE_WIDTH)
        table = Table(title=f"What happened in {self.seconds:.0f} s", title_justify="left", width=width)
        table.add_column("step")
        # An address must stay whole.
        table.add_column("what came of it", overflow="fold")
        table.add_column("s", justify="right")
        for step in self.steps:
            table.add_row(step.title, "\n".join(step.results), f"{step.seconds:.0f}")
        self.console.print(table)
