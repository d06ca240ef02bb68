"""Partitions of a feature view whose inputs are all published."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.data.features import availability
from include.data.features.references import is_reference
from include.partitions import day_of, format_partition

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from include.data.lake.delta_tables import Lake
    from include.declarations import Dataset, FeatureView
    from include.partitions import Partition


@dataclass(frozen=True, slots=True)
class Readiness:
    """Partitions that can be built, ascending; and, by partition, the missing inputs of those that cannot."""

    ready: list[Partition]
    waiting: dict[Partition, list[str]]


def dependent_partitions(
    view: FeatureView,
    dataset: str,
    changed: Collection[Partition],
    lake: Lake,
    *,
    datasets: Mapping[str, Dataset],
) -> Readiness:
    """
    Return the partitions of `view` that are built from these partitions of `dataset`, ready or waiting.

    A partition of a later day that only looks back to one of these is ready once all of its inputs are
    published; until then it is not reported as waiting. A new version of a reference table changes no
    partition that was built with an earlier one; the first version makes those ready that waited for it.
    """
    published = {source.dataset: set(lake.partitions(source.dataset)) for source in view.sources}
    if is_reference(view, datasets[dataset]):
        # Another version may have been published between the commit of the first one and this moment.
        is_first = min(published[dataset], default=None) in changed
        waited = _partitions_without_reference(view, lake, published, datasets) if is_first else []
        return Readiness(ready=waited, waiting={})
    source = next(source for source in view.sources if source.dataset == dataset)
    dependent: set[Partition] = set()
    for partition in changed:
        dependent.update(availability.reading_partitions(view, source, datasets[dataset], partition))
    missing = {
        partition: list(_missing_inputs(view, partition, published, datasets))
        for partition in sorted(dependent)
    }
    changed_days = {day_of(partition) for partition in changed}
    return Readiness(
        ready=[partition for partition, inputs in missing.items() if not inputs],
        waiting={
            partition: inputs
            for partition, inputs in missing.items()
            if inputs and day_of(partition) in changed_days
        },
    )


def _partitions_without_reference(
    view: FeatureView, lake: Lake, published: Mapping[str, set[Partition]], datasets: Mapping[str, Dataset]
) -> list[Partition]:
    """Return the partitions that are not built, and whose inputs are all published."""
    candidates: set[Partition] = set()
    for source in view.sources:
        dataset = datasets[source.dataset]
        if not is_reference(view, dataset):
            for partition in published[source.dataset]:
                candidates.update(availability.reading_partitions(view, source, dataset, partition))
    unbuilt = candidates - set(lake.partitions(view.name))
    return [
        partition
        for partition in sorted(unbuilt)
        if not list(_missing_inputs(view, partition, published, datasets))
    ]


def _missing_inputs(
    view: FeatureView,
    partition: Partition,
    published: Mapping[str, set[Partition]],
    datasets: Mapping[str, Dataset],
) -> Iterator[str]:
    for source in view.sources:
        dataset = datasets[source.dataset]
        if is_reference(view, dataset):
            if not published[source.dataset]:
                yield f"the first version of {source.dataset}"
            continue
        for read in availability.source_partitions(view, source, dataset, partition):
            if availability.exists(dataset, read) and read not in published[source.dataset]:
                yield f"{source.dataset} {format_partition(read)}"
