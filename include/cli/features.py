"""`airworthy materialise`: copy the newest days of the feature views into the online store."""

from __future__ import annotations

from typer import Typer

from include.cli.options import MODELS, AsJson
from include.cli.output import print_json, print_text

app = Typer()


@app.command(rich_help_panel=MODELS)
def materialise(*, as_json: AsJson = False) -> None:
    """
    Copy the newest days of each online feature view into the online store.

    [bold]Example[/bold]
      airworthy materialise
    """
    from dataclasses import asdict

    from include.catalog import catalog
    from include.data.feature_store.client import materialise_view
    from include.data.lake.delta_tables import Lake
    from include.settings import settings

    lake = Lake(settings().lake_uri)
    records = []
    for view in catalog().feature_views.values():
        if not view.online:
            continue
        result = materialise_view(view, lake, settings().database_url)
        records.append({"feature_view": view.name, **asdict(result)})
        if not as_json:
            span = f"{result.days[0]} to {result.days[-1]}" if result.days else "no day"
            print_text(f"{view.name}: {result.rows:,} rows of {span} are online")
    if as_json:
        print_json(records)
