"""Scoring of partitions of any size: reading, predicting and writing go on at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from include.data.feature_store.feature_rows import scan_feature_rows
from include.storage.staging import ROWS_PER_GROUP

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    import pyarrow as pa

    from include.data.lake.delta_tables import Lake
    from include.declarations.relations.feature_selection import FeatureSelection
    from include.modeling.batch_scoring.scorer import BatchScorer
    from include.partitions import Partition

Item = TypeVar("Item")


def score_partitions(
    scorer: BatchScorer,
    selection: FeatureSelection,
    lake: Lake,
    partitions: Collection[Partition],
    *,
    versions: Mapping[str, int],
) -> Iterator[pa.Table]:
    """
    Yield the scored rows of some partitions, one group of rows after the other; at least one table.

    At most four groups of `ROWS_PER_GROUP` rows are in memory: read, predicted, waiting and used.

    Parameters
    ----------
    versions
        Version of each table that is read; the newest of those that are not named.

    Raises
    ------
    PartitionMissing
        If the features of a partition were never published.
    DataError, InvalidPrediction
        As `BatchScorer.score`.
    """
    features = scan_feature_rows(
        selection,
        lake,
        partitions,
        names=scorer.use_case.features,
        versions=versions,
        rows_per_table=ROWS_PER_GROUP,
    )
    return read_ahead(map(scorer.score, read_ahead(features)))


def read_ahead(items: Iterator[Item]) -> Iterator[Item]:
    """Yield the items; while one is used, the next is made in a thread."""
    with ThreadPoolExecutor(1, "read-ahead") as pool:
        upcoming = pool.submit(next, items, None)
        while (item := upcoming.result()) is not None:
            upcoming = pool.submit(next, items, None)
            yield item
