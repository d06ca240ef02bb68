"""`python -m include.cli.materialise`: bring the newest days of every online feature view online."""

from __future__ import annotations

import sys

from rich.console import Console

from include.catalog import catalog
from include.data.feature_store.client import materialise
from include.data.lake.delta_tables import Lake
from include.errors import AirworthyError
from include.settings import settings


def main() -> None:
    """Say of each view how many rows of which days are online now."""
    lake, url = Lake(settings().lake_uri), settings().database_url
    for view in catalog().feature_views.values():
        if view.online:
            done = materialise(view, lake, url)
            span = f"{done.days[0]} to {done.days[-1]}" if done.days else "no day"
            Console().print(f"{view.name}: {done.rows:,} rows of {span} are online")


if __name__ == "__main__":
    try:
        main()
    except AirworthyError as error:
        sys.exit(str(error))
