"""`airworthy doctor`: whether desired state, ledger, registry and what is served agree."""

from __future__ import annotations

from typing import Annotated

from typer import Exit, Option, Typer

from include.cli.options import OPERATION, AsJson
from include.cli.output import print_json, print_table, print_text

ILL = 1
COLUMNS = ("check", "model", "problem")

app = Typer()


@app.command(rich_help_panel=OPERATION)
def doctor(
    *,
    registry: Annotated[bool, Option(help="Ask MLflow, too, and verify files and certificates.")] = True,
    as_json: AsJson = False,
) -> None:
    """
    Check that desired state, ledger, registry and what is served agree, for every model.

    Exit code 1: something is wrong.

    [bold]Examples[/bold]
      airworthy doctor
      airworthy doctor --no-registry --json
    """
    from dataclasses import asdict

    from include.cli.champion import connect_to_database
    from include.governance.doctor.checks import CHECKS, examine
    from include.governance.doctor.facts import read_models
    from include.modeling.registry.registry import Registry
    from include.settings import settings

    engine = connect_to_database()
    models = read_models(engine, Registry(settings().mlflow_uri) if registry else None)
    findings = examine(models)
    if as_json:
        names = [model.state.use_case for model in models]
        print_json({"models": names, "findings": [asdict(finding) for finding in findings]})
    elif findings:
        rows = [(finding.check, finding.use_case, finding.problem) for finding in findings]
        print_table("findings", COLUMNS, rows)
    else:
        print_text(f"{len(models)} models, {len(CHECKS)} checks, nothing is wrong.")
    if findings:
        raise Exit(ILL)
