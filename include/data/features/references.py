"""Reference tables: datasets that are read whole, joined to dated rows in the version that was known."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from typing import TYPE_CHECKING

import pandas as pd

from include.data.features import availability
from include.declarations import KNOWN_AT
from include.errors import PartitionMissing
from include.partitions import format_key, format_partition

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from include.data.lake.delta_tables import Lake
    from include.declarations import Dataset, FeatureView, ViewSource
    from include.partitions import Partition


@dataclass(frozen=True, slots=True)
class ReferenceUse:
    """
    The version of a reference table that partitions of a view are built with.

    Attributes
    ----------
    dataset : str
        Name of the reference table.
    version : Partition
        The day on which the version landed.
    table_version : int
        Version of the Delta table that is read.
    partitions : tuple of Partition
        Partitions of the view.
    known_at : datetime or None
        From when the version was known; None if that is later than the partitions begin.
    """

    dataset: str
    version: Partition
    table_version: int
    partitions: tuple[Partition, ...]
    known_at: datetime | None

    def describe(self) -> str:
        """Return the use for people."""
        later = "" if self.known_at else ", which was known only later"
        return (
            f"{format_key(self.partitions)} is built with {self.dataset} of "
            f"{format_partition(self.version)} (table version {self.table_version}){later}"
        )


def is_reference(view: FeatureView, dataset: Dataset) -> bool:
    """Return whether a view joins a dataset to its dated rows in a version, not by partitions."""
    return view.is_dated and dataset.whole


def used_versions(
    view: FeatureView, lake: Lake, partitions: Collection[Partition], *, datasets: Mapping[str, Dataset]
) -> list[ReferenceUse]:
    """
    Return the versions of reference tables that partitions of a view are built with.

    A version was known when it was due, or when a scheduled run or a backfill read it, if that was later. The
    newest version is used that was known when the partition began, less the view's horizon, or when the
    view is built, if that is earlier. Partitions before that get the first version. With
    `versions="newest"`, all get the newest one.

    Raises
    ------
    PartitionMissing
        If a reference table has no version yet.
    """
    uses: list[ReferenceUse] = []
    for source in view.sources:
        dataset = datasets[source.dataset]
        if is_reference(view, dataset):
            uses += _uses_of(view, source, dataset, lake, sorted(partitions))
    return uses


def to_json(uses: Sequence[ReferenceUse]) -> str:
    """Return the uses as JSON, as the commit of the partitions has them; "" for none."""
    records = [
        {
            "dataset": use.dataset,
            "version": format_partition(use.version),
            "table_version": use.table_version,
            "partitions": format_key(use.partitions),
            "known_at": use.known_at.isoformat() if use.known_at else None,
        }
        for use in uses
    ]
    return json.dumps(records) if records else ""


def from_json(view: FeatureView, text: str) -> list[ReferenceUse]:
    """Return the uses of `to_json`."""
    uses = []
    for record in json.loads(text) if text else []:
        known_at = record["known_at"]
        uses.append(
            ReferenceUse(
                dataset=record["dataset"],
                version=date.fromisoformat(record["version"]),
                table_version=record["table_version"],
                partitions=tuple(view.calendar.parse(record["partitions"])),
                known_at=datetime.fromisoformat(known_at) if known_at else None,
            )
        )
    return uses


def read_version(lake: Lake, use: ReferenceUse) -> pd.DataFrame:
    """Return the rows of a version, with when they were known as `KNOWN_AT`; null if only later."""
    rows = lake.read(use.dataset, [use.version], version=use.table_version)
    known_times = pd.Series(use.known_at, index=rows.index, dtype="datetime64[us, UTC]")
    return rows.assign(**{KNOWN_AT: known_times})


def _uses_of(
    view: FeatureView, source: ViewSource, dataset: Dataset, lake: Lake, partitions: Sequence[Partition]
) -> Iterator[ReferenceUse]:
    table_version = lake.version(dataset.name)
    published = lake.partitions(dataset.name, version=table_version) if table_version is not None else []
    if table_version is None or not published:
        raise PartitionMissing(
            f"{view.name}: the reference table {dataset.name} has no version yet. Run "
            f"{dataset.name}_ingestion first."
        )
    known_times = _known_times(dataset, lake, published)

    def choose(partition: Partition) -> tuple[Partition, bool]:
        known_by = _known_by(view, partition)
        in_time = [version for version in published if known_times[version] <= known_by]
        if source.versions == "newest":
            return published[-1], published[-1] in in_time
        return (in_time[-1], True) if in_time else (published[0], False)

    for (version, was_known), group in groupby(partitions, choose):
        known_at = known_times[version] if was_known else None
        yield ReferenceUse(dataset.name, version, table_version, tuple(group), known_at)


def _known_times(dataset: Dataset, lake: Lake, versions: Sequence[Partition]) -> dict[Partition, datetime]:
    """Return from when each version was known: when it was due, or read by a run that came later."""
    due = {version: dataset.availability.due_at(version) for version in versions}
    times = availability.version_times(dataset, lake)
    return {version: max(due[version], times.get(version, due[version])) for version in versions}


def _known_by(view: FeatureView, partition: Partition) -> datetime:
    """Return the moment of the first prediction for a partition, or that of its build if it is earlier."""
    first_prediction = view.calendar.start_of(partition) - view.horizon
    return min(first_prediction, view.availability.due_at(partition))
