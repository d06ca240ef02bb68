"""`python -m tests.bench [--only name,…]`: measure, print a table and write `$AIRWORTHY_HOME/bench.json`."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.console import Console

from include.settings import settings
from tests.bench.figures import table, write
from tests.bench.measurements import MEASUREMENTS, default_names
from tests.bench.rig import Rig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.figures import Figure

console = Console(
    highlight=False, soft_wrap=not sys.stdout.isatty(), width=None if sys.stdout.isatty() else 200
)


def measure(names: Sequence[str], rig: Rig) -> tuple[list[Figure], dict[str, str]]:
    """Return the figures, and the error of each measurement that failed; the others go on."""
    figures = []
    failures = {}
    for name in names:
        try:
            with console.status(name):
                figure = MEASUREMENTS[name](rig)
        except KeyboardInterrupt:
            raise
        except Exception as error:  # noqa: BLE001  reported at the end, by name
            traceback.print_exc()
            failures[name] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            continue
        load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
        figures.append(replace(figure, how=f"{figure.how}; {load}"))
        console.print(f"{name} = {figure.value:.4g} {figure.unit}")
    return figures, failures


def main(arguments: Sequence[str]) -> int:
    """Run the measurements; return 1 if one of them failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", default="", help=f"some of {', '.join(MEASUREMENTS)}")
    parser.add_argument("--keep", action="store_true", help="leave the temporary folder behind")
    options = parser.parse_args(arguments)
    home = settings().root
    names = [name for name in options.only.split(",") if name] or default_names(home)
    unknown = sorted(set(names) - set(MEASUREMENTS))
    if unknown:
        parser.error(f"no measurement {', '.join(unknown)}; there are {', '.join(MEASUREMENTS)}")
    rig = Rig(home, keep=options.keep)
    try:
        figures, failures = measure(names, rig)
    finally:
        rig.close()
    console.print(table(figures, failures))
    write(figures, home / "bench.json")
    console.print(f"Written to {home / 'bench.json'}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
