"""The lake of a replay: landed files and features of the past, month by month."""

from __future__ import annotations

import logging
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

from include.errors import DataError
from include.partitions import day_of, format_partition
from include.scaffold.history import datasets_of, landed_partitions, views_of
from include.scaffold.local_lake import build_checked, complete_partitions, publish_landed, publish_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import date

    import pandas as pd

    from include.data.lake.delta_tables import Lake
    from include.declarations import FeatureView, UseCase
    from include.partitions import Partition

    LeftOut = dict[str, list[Partition]]

log = logging.getLogger(__name__)
# Of a thousand hashes of keys, so many are kept.
SHARES = 1_000


def publish_history(use_case: UseCase, lake: Lake, last: date, *, share: float = 1.0) -> LeftOut:
    """
    Publish the datasets and features of a use case until a day; a month that was published is left alone.

    Each month passes the checks of ingestion and features, and one month is in memory. A partition that does
    not pass is left out, as its run would fail.

    Parameters
    ----------
    last
        Last day of the features.
    share
        Share of the rows to predict that are kept, above 0 and at most 1: always the same ones.

    Returns
    -------
    mapping
        Partitions that were left out, by their table.

    Raises
    ------
    DataError
        If no file has landed.
    """
    refused: LeftOut = {}
    for dataset in datasets_of(use_case):
        landed = [partition for partition in landed_partitions(dataset) if day_of(partition) <= last]
        publish = partial(publish_landed, dataset, lake)
        refused[dataset.name] = _publish_new(dataset.name, lake, landed, publish)
    for view in views_of(use_case):
        complete = [partition for partition in complete_partitions(view, lake) if day_of(partition) <= last]
        if not complete:
            raise DataError(f"{view.name}: no partition has all of its inputs among the landed files.")
        is_sampled = view.name == use_case.feature_view and use_case.label.time is None
        build = partial(_publish_view, view, lake, share if is_sampled else 1.0)
        refused[view.name] = _publish_new(view.name, lake, complete, build)
    return refused


def _publish_new(
    table: str,
    lake: Lake,
    partitions: Iterable[Partition],
    publish: Callable[[list[Partition]], object],
) -> list[Partition]:
    """Publish the missing partitions by month; return those that do not pass by themselves."""
    refused: list[Partition] = []
    missing = sorted(set(partitions) - set(lake.partitions(table)))
    for _, group in groupby(missing, lambda partition: day_of(partition).replace(day=1)):
        month = list(group)
        try:
            publish(month)
        except DataError:
            refused += _publish_singly(table, month, publish)
        log.info("%s: %s to %s published", table, day_of(month[0]), day_of(month[-1]))
    return refused


def _publish_singly(
    table: str, month: Sequence[Partition], publish: Callable[[list[Partition]], object]
) -> list[Partition]:
    refused: list[Partition] = []
    for partition in month:
        try:
            publish([partition])
        except DataError as error:
            refused.append(partition)
            log.warning("%s %s is left out: %s", table, format_partition(partition), error)
    return refused


def _publish_view(view: FeatureView, lake: Lake, share: float, partitions: list[Partition]) -> None:
    accepted, _ = build_checked(view, lake, partitions)
    publish_rows(lake, view.name, _select_share(accepted, view, share), partitions)


def _select_share(rows: pd.DataFrame, view: FeatureView, share: float) -> pd.DataFrame:
    """Return a share of the rows, by the hash of their keys."""
    if share >= 1:
        return rows
    from pandas.util import hash_pandas_object

    hashes = hash_pandas_object(rows[list(view.keys)].astype(str), index=False)
    return rows[(hashes % SHARES < share * SHARES).to_numpy()].reset_index(drop=True)
