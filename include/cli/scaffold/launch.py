"""`airworthy launch`: a model as it is declared, on the running stack."""

from __future__ import annotations

from typer import Exit, Typer

from include.cli.options import MODELS, AsJson, Model
from include.cli.output import print_json, print_text

app = Typer()


@app.command(rich_help_panel=MODELS)
def launch(model: Model, *, as_json: AsJson = False) -> None:
    """
    Release a model as it is declared on the running stack, and print a request to it.

    The history that has landed is ingested in bulk; then features, training, gates and release follow. What
    exists is not made again: after a change of the declaration, only what it changes is. A version after the
    first is rolled out under the requests of callers, which is not awaited. With --json, progress is on
    standard error.

    [bold]Example[/bold]
      airworthy launch churn
    """
    from include.errors import AirworthyError
    from include.scaffold import launch as launching
    from include.settings import settings
    from include.stack.airflow_api import AirflowApi
    from include.stack.demo.console import DemoConsole
    from include.stack.demo.runs import Demo

    console = DemoConsole(stderr=as_json)
    stack = Demo(settings(), AirflowApi(settings()))
    try:
        launched = launching.launch_model(stack, console, model)
    except AirworthyError as error:
        console.print_failure(error)
        raise Exit(1) from error
    if as_json:
        print_json({"model": launched, **console.record()})
    else:
        print_text(f"{model} version {launched.version} answers after {console.seconds:.0f} s. Ask it:")
        print_text(launched.command)
        if launched.challenger is not None:
            print_text(f"Version {launched.challenger} takes over in steps, as callers send such requests.")
        print_text(f"Its page: {settings().airflow_public_uri}/airworthy/models/{model}")
