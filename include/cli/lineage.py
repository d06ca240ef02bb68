"""`airworthy lineage`: what a model was made of, what was made of a partition, and which labels landed."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option, Typer

from include.cli.champion import connect_to_database
from include.cli.options import AsJson, DatasetName, Model, parse_partition
from include.cli.output import print_json, print_table, print_text
from include.partitions import day_of, format_partition

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from include.data.lake.commit_log import Commit
    from include.data.lake.delta_tables import Lake
    from include.modeling.lineage import ModelLineage, PartitionLineage
    from include.modeling.registry.registry import Registry

COMMIT_COLUMNS = ("commit", "at", "run", "try", "code", "partitions")
SHOWN_CODE_LENGTH = 12
LABEL_COLUMNS = ("day", "rows", "landed", "with a value", "completeness", "learnt from")
MAX_SHOWN_FILES = 3

app = Typer(help="Trace models to their data, and data to its models.", no_args_is_help=True)


@app.command()
def model(
    model: Model,
    version: Annotated[int, Argument(metavar="VERSION", help="A registered version.")],
    *,
    as_json: AsJson = False,
) -> None:
    """
    Show what a version was made of: MLflow run, code, snapshot, commits and files.

    [bold]Example[/bold]
      airworthy lineage model flight_delay 3
    """
    from include.modeling import lineage

    result = lineage.model_lineage(_registry(), _lake(), model, version)
    if as_json:
        print_json(model_record(result))
    else:
        print_model_lineage(result)


@app.command()
def partition(
    dataset: DatasetName,
    day: Annotated[
        date,
        Argument(
            parser=parse_partition,
            metavar="DAY",
            help="A day such as 2013-07-01, or an hour: 2013-07-01T05.",
        ),
    ],
    version: Annotated[int | None, Option(help="Of the dataset's table; default: every version.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """
    Show what was made of a day, or of one of its hours: features, snapshots, models and predictions.

    [bold]Examples[/bold]
      airworthy lineage partition flights 2013-07-01
      airworthy lineage partition arrivals 2013-07-01 --version 4
      airworthy lineage partition weather 2013-07-01T05
    """
    from include.modeling import lineage

    with connect_to_database().connect() as connection:
        result = lineage.partition_lineage(connection, _registry(), _lake(), dataset, day, version=version)
    if as_json:
        print_json(partition_record(result))
    else:
        print_partition_lineage(result)


@app.command()
def labels(
    model: Model,
    days: Annotated[int, Option(min=1, help="How many of the newest days.")] = 14,
    *,
    as_json: AsJson = False,
) -> None:
    """
    Show how many of each day's rows have their label by now.

    [bold]Example[/bold]
      airworthy lineage labels flight_delay --days 30
    """
    from include.catalog import catalog
    from include.data.snapshots.label_completeness import label_completeness

    lake = _lake()
    use_case = catalog().use_cases[model]
    spine = catalog().spine_of(use_case)
    minimum = use_case.label.minimum_completeness
    records = []
    for day, counts in label_completeness(use_case, spine, lake, lake.days(spine.table)[-days:]).items():
        figures = {"day": day, **asdict(counts), "completeness": counts.share}
        records.append({**figures, "learnt_from": counts.share >= minimum})
    if as_json:
        print_json({"use_case": model, "minimum_completeness": minimum, "days": records})
        return
    title = f"{model}: labels of {use_case.label.dataset}; {minimum:.0%} of a day's rows must have one"
    print_table(title, LABEL_COLUMNS, [_label_row(record) for record in records])


def model_record(result: ModelLineage) -> dict[str, Any]:
    """Return what a version was made of as JSON types with stable keys."""
    partitions = {table: _commit_records(pairs) for table, pairs in result.partitions.items()}
    return {
        "use_case": result.use_case,
        "version": result.version,
        "run_id": result.run_id,
        "code_version": result.code_version,
        "snapshot": asdict(result.snapshot),
        "partitions": partitions,
        "files": result.files,
    }


def partition_record(result: PartitionLineage) -> dict[str, Any]:
    """Return what was made of a day as JSON types with stable keys."""
    predictions = []
    for key, rows in sorted(result.predictions.items(), key=_prediction_order):
        table, day, version = key
        predictions.append({"table": table, "day": format_partition(day), "version": version, "rows": rows})
    return {
        "dataset": result.dataset,
        "day": format_partition(result.day),
        "commits": _commit_records(_own_partitions(result)),
        "features": _commit_records(result.features),
        "snapshots": result.snapshots,
        "models": [asdict(trained) for trained in result.models],
        "predictions": predictions,
    }


def print_model_lineage(result: ModelLineage) -> None:
    """Print what a version was made of."""
    snapshot = result.snapshot
    share = "" if snapshot.completeness is None else f", {snapshot.completeness:.1%} of its labels landed"
    excluded = ", ".join(snapshot.excluded_days) or "no day"
    print_text(
        f"{result.use_case} version {result.version}: MLflow run {result.run_id}, code {result.code_version}"
    )
    print_text(
        f"snapshot {snapshot.digest[:12]} as of {snapshot.as_of}: {snapshot.rows:,} rows of "
        f"{' … '.join(snapshot.days)}{share}; left out: {excluded}"
    )
    for table, pairs in result.partitions.items():
        print_table(table, COMMIT_COLUMNS, _commit_rows(pairs))
    more = " …" if len(result.files) > MAX_SHOWN_FILES else ""
    print_text(f"{len(result.files)} files: {', '.join(result.files[:MAX_SHOWN_FILES])}{more}")


def print_partition_lineage(result: PartitionLineage) -> None:
    """Print what was made of a partition."""
    title = f"{result.dataset} {format_partition(result.day)}"
    print_table(title, COMMIT_COLUMNS, _commit_rows(_own_partitions(result)))
    for table in sorted({commit.table for _, commit in result.features}):
        pairs = [pair for pair in result.features if pair[1].table == table]
        print_table(f"features: {table}", COMMIT_COLUMNS, _commit_rows(pairs))
    print_table(
        "snapshots",
        ("use case", "digest", "as of", "rows", "run"),
        [
            (row["use_case"], row["digest"][:12], row["as_of"], row["rows"], row["run"])
            for row in result.snapshots
        ],
    )
    print_table(
        "models",
        ("use case", "version", "snapshot", "requests answered"),
        [(model.use_case, model.version, model.snapshot[:12], model.requests) for model in result.models],
    )
    print_table(
        "predictions",
        ("table", "day", "model version", "rows"),
        [
            (table, format_partition(day), version, rows)
            for (table, day, version), rows in sorted(result.predictions.items(), key=_prediction_order)
        ],
    )


def _lake() -> Lake:
    from include.data.lake.delta_tables import Lake
    from include.settings import settings

    return Lake(settings().lake_uri)


def _registry() -> Registry:
    from include.modeling.registry.registry import Registry
    from include.settings import settings

    return Registry(settings().mlflow_uri)


def _own_partitions(result: PartitionLineage) -> list[tuple[date, Commit]]:
    """Return the partitions of the traced day, or the traced hour, with their commits."""
    pairs = []
    for commit in result.commits:
        traced = (part for part in commit.partitions if result.day in (part, day_of(part)))
        pairs += [(partition, commit) for partition in sorted(traced)]
    return pairs


def _by_commit(pairs: Iterable[tuple[date, Commit]]) -> list[tuple[Commit, list[date]]]:
    partitions: dict[Commit, list[date]] = {}
    for partition, commit in pairs:
        partitions.setdefault(commit, []).append(partition)
    return sorted(partitions.items(), key=lambda item: (item[0].table, item[0].version))


def _commit_rows(pairs: Iterable[tuple[date, Commit]]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for commit, partitions in _by_commit(pairs):
        moment = f"{commit.at:%Y-%m-%d %H:%M:%S}"
        code = commit.code[:SHOWN_CODE_LENGTH]
        rows.append((commit.version, moment, commit.run, commit.attempt, code, _describe_range(partitions)))
    return rows


def _commit_records(pairs: Iterable[tuple[date, Commit]]) -> list[dict[str, Any]]:
    records = []
    for commit, partitions in _by_commit(pairs):
        origin = {"table": commit.table, "commit": commit.version, "at": commit.at, "run": commit.run}
        days = sorted({day_of(partition) for partition in partitions})
        names = [format_partition(partition) for partition in partitions]
        records.append(
            {**origin, "try": commit.attempt, "code": commit.code, "days": days, "partitions": names}
        )
    return records


def _describe_range(partitions: Sequence[date]) -> str:
    names = [format_partition(partition) for partition in partitions]
    return names[0] if len(names) == 1 else f"{len(names)} from {min(names)} to {max(names)}"


def _prediction_order(item: tuple[tuple[str, date, int], int]) -> tuple[str, str, int]:
    table, partition, version = item[0]
    return table, format_partition(partition), version


def _label_row(record: dict[str, Any]) -> list[object]:
    counts = [record["rows"], record["landed"], record["labelled"]]
    return [record["day"], *counts, f"{record['completeness']:.1%}", "yes" if record["learnt_from"] else "no"]
