"""Backtests from the command line."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from datetime import date

from include.catalog import catalog
from include.modeling.backtest.walk_forward import walk
from include.modeling.registry.registry import Registry
from include.settings import settings


def main(arguments: list[str]) -> int:
    """Print the table, and write the page with table and picture behind Airflow's login."""
    from rich.console import Console

    from include.modeling.backtest.report import html, path_of, table
    from include.storage import reports

    parser = argparse.ArgumentParser(prog="python -m include.cli.backtest", description=__doc__)
    parser.add_argument("use_case", choices=sorted(catalog().use_cases))
    parser.add_argument("--first", type=date.fromisoformat, required=True, help="first as-of day")
    parser.add_argument("--last", type=date.fromisoformat, required=True, help="last as-of day")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    chosen = parser.parse_args(arguments)
    use_case = catalog().use_cases[chosen.use_case]
    found = walk(Registry(settings().mlflow_uri), use_case, chosen.first, chosen.last)
    if chosen.json:
        sys.stdout.write(json.dumps(asdict(found), indent=1) + "\n")
        return 0
    console = Console(highlight=False)
    console.print(table(found))
    console.print(found.summary, markup=False, soft_wrap=True)
    reports.write_report(settings().lake_uri, {}, path_of(found), html(found))
    page = f"{settings().airflow_uri}/airworthy/reports/{path_of(found)}"
    console.print(page, markup=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
