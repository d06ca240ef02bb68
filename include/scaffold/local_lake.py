"""Landed files and features in a lake of a folder: read, checked and published in one process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.catalog import catalog
from include.settings import settings

if TYPE_CHECKING:
    from collections.abc import Collection

    import pandas as pd

    from include.data.lake.delta_tables import Lake
    from include.data.validation.results import PartitionReport
    from include.declarations import Dataset, FeatureView
    from include.partitions import Partition

RUN = "local"


def publish_landed(dataset: Dataset, lake: Lake, partitions: list[Partition]) -> list[str]:
    """
    Read landed partitions, check them as the ingestion does, and publish the accepted rows.

    Returns
    -------
    list of str
        Figures and remarks.

    Raises
    ------
    QualityFailed
        If a critical check fails.
    """
    from include.data.quality_gate import accepted_schema, validate
    from include.data.sources.files import Landing
    from include.storage.staging import Staging, staging_path

    staging = Staging(lake.uri, {}, "lake_default")
    extract = Landing(settings().landing_uri).read(dataset, partitions)
    path, n_rows = staging.write_tables(RUN, f"extracted-{dataset.name}", extract.tables)
    accepted = staging_path(RUN, f"accepted-{dataset.name}")
    with staging.writer(accepted, accepted_schema(dataset, partitions)) as write:
        report = validate(dataset, staging.open(path), partitions, lake=lake, write_accepted=write)
    report.raise_if_failed(dataset.name)
    publish_rows(lake, dataset.name, staging.open(accepted), partitions)
    notes = [f"{n_rows:,} rows of {len(partitions)} partitions"]
    return [*notes, *extract.remarks, *report.remarks()]


def complete_partitions(view: FeatureView, lake: Lake) -> list[Partition]:
    """Return the partitions of a view whose inputs were all published."""
    from include.data.features.readiness import dependent_partitions

    complete: set[Partition] = set()
    for source in view.sources:
        changed = lake.partitions(source.dataset)
        dependent = dependent_partitions(view, source.dataset, changed, lake, datasets=catalog().sources)
        complete.update(dependent.ready)
    return sorted(complete)


def build_checked(
    view: FeatureView, lake: Lake, partitions: list[Partition]
) -> tuple[pd.DataFrame, PartitionReport]:
    """
    Build the features of partitions; return the accepted rows and the result of their checks.

    Raises
    ------
    QualityFailed
        If a critical check or the leakage check fails.
    """
    from include.data.features.build import build_features, build_function
    from include.data.features.leakage_check import check_leakage
    from include.data.lake.dtypes import to_frame
    from include.data.lake.partition_columns import PartitionSet
    from include.data.quality_gate import validate
    from include.data.reading.table import read_frame

    build = build_function(view)
    frame = build_features(view, build, lake, partitions)
    table = read_frame(frame, view.columns)
    for column in PartitionSet.of(partitions).columns:
        table = table.append_column(column, [frame[column].tolist()])
    rows = to_frame(table)
    check_leakage(view, build, lake, rows, partitions).raise_if_failed(view.name)
    report = validate(view, rows, partitions, lake=lake)
    report.raise_if_failed(view.name)
    return report.accepted, report


def publish_rows(lake: Lake, table: str, rows: object, partitions: Collection[Partition]) -> None:
    """Replace partitions of a table in the lake of a folder by these rows."""
    lake.publish(table, rows, partitions, metadata={"run": RUN, "try": "1", "code": ""})  # type: ignore[arg-type]
