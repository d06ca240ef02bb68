"""`airworthy demo` and `airworthy feed`: the life of one model on real flights, and the flights alone."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from typer import Exit, Option, Typer

from include.cli.options import OPERATION, AsJson, parse_day
from include.cli.output import print_json, print_text

app = Typer()


@app.command(rich_help_panel=OPERATION)
def demo(
    *,
    act: Annotated[
        int,
        Option(min=1, max=2, help="1: the first releases. 2: December, after ten months without training."),
    ] = 1,
    as_json: AsJson = False,
) -> None:
    """
    Start the stack and show the life of flight_delay: data, training, release under traffic, monitoring.

    The second act begins without a champion: a model of one month meets December, drift and lost quality are
    found, the governor retrains, and the new version is released by canary.

    An act takes some 8 minutes from nothing and leaves the stack up. With --json, progress is on standard
    error.

    [bold]Example[/bold]
      airworthy demo
    """
    from include.settings import settings
    from include.stack.demo import acts
    from include.stack.demo.console import DemoConsole

    console = DemoConsole(stderr=as_json)
    succeeded = acts.run_demo(settings(), console, act)
    if as_json:
        print_json({"succeeded": succeeded, **console.record()})
    if not succeeded:
        raise Exit(1)


@app.command(rich_help_panel=OPERATION)
def feed(
    until: Annotated[
        date, Option(parser=parse_day, metavar="DAY", help="The day that is today in the data.")
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """
    Land the flights, the weather, by day and by hour, and the arrivals that are known on a day.

    Files that exist are left alone. Arrivals of a day land one day later.

    [bold]Example[/bold]
      airworthy feed --until 2013-07-08
    """
    from include.settings import settings
    from include.stack.demo.flights_feed import land

    landing_uri = settings().landing_uri
    files = land(landing_uri, until)
    if as_json:
        print_json({"files": files, "landing_uri": landing_uri, "until": until})
    else:
        print_text(f"{files} files landed below {landing_uri}, as of {until}")
