"""The command line `airworthy`: every command, and what an error turns into."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from typer import Typer

from include.cli import (
    backtest,
    certificates,
    champion,
    compose,
    demo,
    experiments,
    explain,
    features,
    lineage,
    quarantine,
    stack,
)
from include.cli.fleet import runs, status
from include.cli.governance import annotate, datasets, ledger, models, privacy, rebuild, reproduce
from include.cli.governance import features as feature_views
from include.cli.options import MODELS, OPERATION
from include.cli.scaffold import launch, new, replay, validate
from include.cli.serving import doctor, release, tokens, trace
from include.errors import AirworthyError, describe_failure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

HELP = """
Operate models from raw data to production.

Each command prints text for people, or JSON with --json. `airworthy COMMAND --help` shows examples.
Settings are AIRWORTHY_* variables; AIRWORTHY_HOME names the folder of all state.

[bold]Exit codes[/bold]
  0  The command did what it was asked to do.
  1  It failed, and one message on standard error says why; or the answer is no: a program does not
     work, a certificate is invalid, there was no champion.
  2  The command line is wrong; for `certificate verify`: the model could not be verified.
  3  The stack does not run (`stack status`).
"""

# Libraries of the commands send no usage data and draw no progress bars, unless the caller wants it.
LIBRARY_SETTINGS = {
    "DO_NOT_TRACK": "true",
    "GX_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}

app = Typer(
    name="airworthy",
    help=HELP,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=True,
)
app.add_typer(stack.app, name="stack", rich_help_panel=OPERATION)
app.add_typer(demo.app)
app.add_typer(new.app)
app.add_typer(validate.app)
app.add_typer(launch.app)
app.add_typer(status.app)
app.add_typer(status.fleet_app, name="fleet", rich_help_panel=MODELS)
app.add_typer(runs.app)
app.add_typer(compose.app, name="compose", rich_help_panel=OPERATION)
app.add_typer(certificates.keys_app, name="keys", rich_help_panel=OPERATION)
app.add_typer(champion.app)
app.add_typer(doctor.app)
app.add_typer(tokens.app, name="tokens", rich_help_panel=MODELS)
app.add_typer(release.switch_app, name="switch", rich_help_panel=MODELS)
app.add_typer(release.release_app, name="release", rich_help_panel=MODELS)
app.add_typer(lineage.app, name="lineage", rich_help_panel=MODELS)
app.add_typer(certificates.app, name="certificate", rich_help_panel=MODELS)
app.add_typer(ledger.app, name="ledger", rich_help_panel=MODELS)
app.add_typer(reproduce.app)
app.add_typer(explain.app)
app.add_typer(trace.app)
app.add_typer(annotate.app, name="annotate", rich_help_panel=MODELS)
app.add_typer(annotate.correct_app)
app.add_typer(backtest.app)
app.add_typer(replay.app)
app.add_typer(experiments.app, name="experiments", rich_help_panel=MODELS)
app.add_typer(quarantine.app, name="quarantine", rich_help_panel=MODELS)
app.add_typer(features.app)
app.add_typer(datasets.app, name="datasets", rich_help_panel=MODELS)
feature_views.app.add_typer(rebuild.app)
app.add_typer(feature_views.app, name="features", rich_help_panel=MODELS)
app.add_typer(models.app, name="models", rich_help_panel=MODELS)
app.add_typer(privacy.app, name="privacy", rich_help_panel=MODELS)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """
    Run one command and end the process with its exit code.

    An error of the project is printed on standard error, without a traceback, and the code is 1.
    """
    for name, value in LIBRARY_SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        app(None if arguments is None else list(arguments), prog_name="airworthy")
    except AirworthyError as error:
        sys.stderr.write(f"{describe_failure(error)}\n")
        sys.exit(1)
    sys.exit(0)


if __name__ == "__main__":
    main()
