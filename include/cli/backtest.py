"""`airworthy backtest`: the trainings of a range of days as one table and one page."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from typer import Option, Typer

from include.cli.options import MODELS, AsJson, Model, parse_day
from include.cli.output import open_console, print_json, print_text

app = Typer()


@app.command(rich_help_panel=MODELS)
def backtest(
    model: Model,
    first: Annotated[date, Option(parser=parse_day, metavar="DAY", help="First as-of day.")],
    last: Annotated[date, Option(parser=parse_day, metavar="DAY", help="Last as-of day.")],
    *,
    as_json: AsJson = False,
) -> None:
    """
    Show how the model of each night did on the days that followed, and write the page with the picture.

    The trainings are those of a backfill of MODEL_training. With --json no page is written.

    [bold]Example[/bold]
      airworthy backtest flight_delay --first 2013-06-01 --last 2013-06-30
    """
    from include.catalog import catalog
    from include.modeling.backtest import report
    from include.modeling.backtest.walk_forward import run_backtest
    from include.modeling.registry.registry import Registry
    from include.settings import settings
    from include.storage import reports

    result = run_backtest(Registry(settings().mlflow_uri), catalog().use_cases[model], first, last)
    if as_json:
        print_json(result)
        return
    open_console().print(report.terminal_table(result))
    print_text(result.summary)
    path = report.report_path(result)
    reports.write_report(settings().lake_uri, {}, path, report.render_page(result))
    print_text(f"{settings().airflow_public_uri}/airworthy/reports/{path}")
