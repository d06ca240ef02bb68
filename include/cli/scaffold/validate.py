"""`airworthy validate`: declarations, landed files, features, training and gates, without a stack."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Exit, Typer

from include.cli.options import MODELS, AsJson, require_use_case
from include.cli.output import print_json, print_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.scaffold.dry_run import CheckedStep

app = Typer()


@app.command("validate", rich_help_panel=MODELS)
def check_models(
    models: Annotated[
        list[str] | None, Argument(metavar="MODEL…", help="Declared use cases; default: declarations alone.")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """
    Check declarations; of a model also its landed files, features, a dry training and its gates.

    Nothing has to run, and nothing is written. Each problem names file, line and remedy; the exit code is 1.

    [bold]Examples[/bold]
      airworthy validate
      airworthy validate churn
    """
    # Threads of a busy machine wait for each other, and a sample needs one.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    steps = []
    for step in _checked_steps(models or []):
        steps.append(step)
        if not as_json:
            _print_step(step)
    failed = any(step.problem for step in steps)
    if as_json:
        print_json({"valid": not failed, "steps": steps})
    if failed:
        raise Exit(1)


def _checked_steps(models: list[str]) -> Iterator[CheckedStep]:
    from include.catalog import catalog
    from include.scaffold import dry_run

    steps = dry_run.check_declarations()
    yield from steps
    for model in models:
        # An invalid one is among the problems.
        if steps[-1].problem and model not in catalog().use_cases:
            continue
        yield from dry_run.dry_run(require_use_case(model))


def _print_step(step: CheckedStep) -> None:
    mark = "✗" if step.problem else "✓"
    location = f"{step.location}: " if step.location else ""
    print_text(f"{mark} {location}{step.title} ({step.seconds:.1f} s)")
    for note in (step.problem,) if step.problem else step.notes:
        print_text(f"    {note}")
