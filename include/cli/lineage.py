"""
`python -m include.cli.lineage`: where did it come from, and where did it go?

- `model flight_delay 3`: what version 3 was made of, from the MLflow run to the files
- `partition flights 2013-07-01 [--version 4]`: the features, snapshots, models and predictions made of a day
- `labels flight_delay [--days 14]`: how many of each day's rows have their label by now
"""

from __future__ import annotations

import argparse
import sys
from datetime import date
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from include.catalog import catalog
from include.database.tables import connect
from include.errors import SettingsError
from include.settings import settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from include.data.lake.commit_log import Commit
    from include.data.lake.delta_tables import Lake
    from include.modeling.lineage import ModelLineage, PartitionLineage
    from include.modeling.registry.registry import Registry

CONSOLE = Console(highlight=False, soft_wrap=True)


def main(arguments: list[str]) -> int:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m include.cli.lineage", description=__doc__)
    asked = parser.add_subparsers(dest="question", required=True)
    model = asked.add_parser("model")
    model.add_argument("use_case", choices=sorted(catalog().use_cases))
    model.add_argument("version", type=int)
    partition = asked.add_parser("partition")
    partition.add_argument("dataset", choices=sorted(catalog().datasets))
    partition.add_argument("day", type=date.fromisoformat)
    partition.add_argument("--version", type=int, help="of the dataset's table; by default any")
    labels = asked.add_parser("labels")
    labels.add_argument("use_case", choices=sorted(catalog().use_cases))
    labels.add_argument("--days", type=int, default=14)
    chosen = parser.parse_args(arguments)
    {"model": _model, "partition": _partition, "labels": _labels}[chosen.question](chosen)
    return 0


def _places() -> tuple[Lake, Registry]:
    from include.data.lake.delta_tables import Lake
    from include.modeling.registry.registry import Registry

    return Lake(settings().lake_uri), Registry(settings().mlflow_uri)


def _model(chosen: argparse.Namespace) -> None:
    from include.modeling import lineage

    lake, registry = _places()
    show_origin(lineage.model_lineage(registry, lake, chosen.use_case, chosen.version))


def _partition(chosen: argparse.Namespace) -> None:
    from include.modeling import lineage

    if not settings().database_url:
        raise SettingsError("There is no database yet: start the stack with `make up`.")
    lake, registry = _places()
    with connect(settings().database_url).connect() as connection:
        show_descendants(
            lineage.partition_lineage(
                connection, registry, lake, chosen.dataset, chosen.day, version=chosen.version
            )
        )


def _labels(chosen: argparse.Namespace) -> None:
    from include.data.snapshots import label_completeness

    lake, _ = _places()
    use_case = catalog().use_cases[chosen.use_case]
    view = catalog().feature_views[use_case.feature_view]
    found = label_completeness.label_completeness(use_case, view, lake, lake.days(view.name)[-chosen.days :])
    least = use_case.label.minimum_completeness
    _show(
        f"{use_case.name}: labels of {use_case.label.dataset}, {least:.0%} of a day's rows are asked for",
        ("day", "rows", "landed", "with a value", "completeness", "learnt from"),
        (
            (
                day,
                one.rows,
                one.landed,
                one.labelled,
                f"{one.share:.1%}",
                "yes" if one.share >= least else "no",
            )
            for day, one in found.items()
        ),
    )


def show_origin(found: ModelLineage) -> None:
    """Print what a version was made of."""
    taken = found.snapshot
    share = "" if taken.completeness is None else f", {taken.completeness:.1%} of its labels landed"
    CONSOLE.print(
        f"{found.use_case} version {found.version}: MLflow run {found.run_id}, code {found.code_version}"
    )
    CONSOLE.print(
        f"snapshot {taken.digest[:12]} as of {taken.as_of}: {taken.rows:,} rows of {' … '.join(taken.days)}"
        f"{share}; left out: {', '.join(taken.excluded_days) or 'no day'}"
    )
    for name, pairs in found.partitions.items():
        _show(f"{name}", ("commit", "at", "run", "try", "days"), _by_commit(pairs))
    CONSOLE.print(f"{len(found.files)} files: {', '.join(found.files[:3])}{' …' * (len(found.files) > 3)}")


def show_descendants(found: PartitionLineage) -> None:
    """Print what was made of a partition."""
    own = [(found.day, commit) for commit in found.commits]
    _show(f"{found.dataset} {found.day}", ("commit", "at", "run", "try", "days"), _by_commit(own))
    for name in sorted({commit.table for _, commit in found.features}):
        pairs = [pair for pair in found.features if pair[1].table == name]
        _show(f"features: {name}", ("commit", "at", "run", "try", "days"), _by_commit(pairs))
    _show(
        "snapshots",
        ("use case", "digest", "as of", "rows", "run"),
        (
            (row["use_case"], row["digest"][:12], row["as_of"], row["rows"], row["run"])
            for row in found.snapshots
        ),
    )
    _show(
        "models",
        ("use case", "version", "snapshot", "requests answered"),
        ((one.use_case, one.version, one.snapshot[:12], one.requests) for one in found.models),
    )
    _show(
        "predictions",
        ("table", "day", "model version", "rows"),
        ((*key, count) for key, count in sorted(found.predictions.items())),
    )


def _by_commit(pairs: Iterable[tuple[date, Commit]]) -> list[tuple[object, ...]]:
    days: dict[Commit, list[date]] = {}
    for day, commit in pairs:
        days.setdefault(commit, []).append(day)
    return [
        (one.version, f"{one.at:%Y-%m-%d %H:%M:%S}", one.run, one.attempt, _span(of))
        for one, of in sorted(days.items(), key=lambda item: item[0].version)
    ]


def _span(days: list[date]) -> str:
    return str(days[0]) if len(days) == 1 else f"{len(days)} from {min(days)} to {max(days)}"


def _show(title: str, columns: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    CONSOLE.print(table if table.row_count else f"{title}: none")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
