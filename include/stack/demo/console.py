"""Tell a person what the demo does while it does it, and what came of it."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rich.status import Status

WIDTH = 140  # where there is no terminal to ask


@dataclass
class Step:
    """One step of the story: what it was, what its runs found, and how long it took."""

    title: str
    status: Status
    findings: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def progress(self, text: str) -> None:
        """Show what is going on right now."""
        self.status.update(f"{self.title} [dim]{text}[/dim]")

    def found(self, text: str) -> None:
        """Keep a figure for the table at the end."""
        self.findings.append(text)


class DemoConsole:
    """Chapters, one after the other, and the table of all of them."""

    def __init__(self, *, stderr: bool = False) -> None:
        self.console = Console(highlight=False, soft_wrap=True, stderr=stderr)
        if not self.console.is_terminal:
            self.console = Console(highlight=False, soft_wrap=True, stderr=stderr, width=WIDTH)
        self.chapters: list[Step] = []
        self.began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the story began."""
        return time.monotonic() - self.began

    @contextmanager
    def chapter(self, title: str) -> Iterator[Step]:
        """Show a step while it lasts, and how it ended."""
        began = time.monotonic()
        with self.console.status(title) as status:
            chapter = Step(title, status)
            self.chapters.append(chapter)
            yield chapter
        chapter.seconds = time.monotonic() - began
        self.console.print(f"[green]✓[/green] {title} [dim]{chapter.seconds:.0f} s[/dim]")
        for finding in chapter.findings:
            self.console.print(f"    {finding}", style="dim")

    def record(self) -> dict[str, Any]:
        """Return how long the demo and each of its steps took, in seconds."""
        chapters = {chapter.title: round(chapter.seconds, 2) for chapter in self.chapters}
        return {"seconds": round(self.seconds, 2), "chapters": chapters}

    def keep(self, path: Path) -> None:
        """Write the record into a file as JSON."""
        path.write_text(json.dumps(self.record(), indent=1) + "\n")

    def fail(self, error: Exception) -> None:
        """Say which step failed, and why."""
        title = self.chapters[-1].title if self.chapters else "Before the first step"
        self.console.print(f"[bold red]✗ {title}[/bold red] failed after {self.seconds:.0f} s.")
        for finding in self.chapters[-1].findings if self.chapters else []:
            self.console.print(f"    {finding}", style="dim", markup=False)
        self.console.print(str(error), markup=False)

    def table(self) -> None:
        """Print what happened."""
        table = Table(title=f"What happened in {self.seconds:.0f} s", title_justify="left")
        table.add_column("step")
        table.add_column("what came of it")
        table.add_column("s", justify="right")
        for chapter in self.chapters:
            table.add_row(chapter.title, "\n".join(chapter.findings), f"{chapter.seconds:.0f}")
        self.console.print(table)
