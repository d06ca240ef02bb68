"""Point-in-time joins: the features of each row as of its time, from one version of a view's table."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from include.data.feature_store.columns import names
from include.data.lake import dtypes
from include.data.lake.partition_columns import DAY, HOUR, parse_partition_name
from include.declarations.base import INTERNAL_PREFIX
from include.errors import DataError
from include.partitions import day_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    import numpy.typing as npt

    from include.data.lake.delta_tables import Lake
    from include.declarations import FeatureView
    from include.partitions import Partition

    Codes = npt.NDArray[np.int64]

# Columns of the join: the codes of a row's key and partition, its time and its position.
KEY = f"{INTERNAL_PREFIX}key"
TIME = f"{INTERNAL_PREFIX}time"
POSITION = f"{INTERNAL_PREFIX}position"
ORDER = f"{INTERNAL_PREFIX}order"
PARTITION = f"{INTERNAL_PREFIX}partition"
# Codes of keys with a null, which equal no other key.
NULL_KEYS = (-1, -2)
# Expiry of rows that stay online.
NEVER = datetime.max.replace(tzinfo=UTC)


def historical(
    view: FeatureView,
    lake: Lake,
    entities: pd.DataFrame,
    *,
    version: int | None = None,
    columns: Sequence[str] | None = None,
) -> pd.DataFrame:
    """
    Join features to entities, each as of the time of its row (point-in-time join).

    Parameters
    ----------
    entities
        Frame (n rows) with the view's entity and time.
    version
        Version of the view's table; by default the newest.
    columns
        Columns of the view; by default all.

    Returns
    -------
    pandas.DataFrame
        `entities` (n rows, same order) with the columns; null where nothing was known at that time.

    Raises
    ------
    PartitionMissing
        If the view was never published.
    DataError
        If a column does not exist, an entity row has no time, or an entity has another type than in the view.
    """
    requested = [name for name in (columns or names(view)) if name not in entities.columns]
    unknown = sorted(set(requested) - set(names(view)))
    if unknown:
        raise DataError(f"{view.name} has no column {', '.join(unknown)}; it has {', '.join(names(view))}.")
    if entities[view.time].isna().any():
        raise DataError(
            f"{view.name}: an entity row has no {view.time}. Give each row the time of its event."
        )
    if not requested:
        return entities.reset_index(drop=True)
    spine = _spine(view, entities)
    joined = join_columns(
        view, lake, spine.select(view.keys), spine[view.time], version=version, columns=requested
    )
    return entities.reset_index(drop=True).join(dtypes.to_frame(joined))


def join_columns(
    view: FeatureView,
    lake: Lake,
    keys: pa.Table,
    times: pa.ChunkedArray,
    *,
    version: int | None = None,
    columns: Sequence[str],
) -> pa.Table:
    """
    Return the columns of the newest row of each key that was available at its time, or nulls (n rows).

    A row of a view with `online` is available as long as its day is one of the newest `online.days` that
    are available, as in the online store.

    Parameters
    ----------
    keys
        Entity columns of the view (n rows).
    times
        Timestamps (n,).
    version
        Version of the view's table; by default the newest.
    columns
        Columns of the view's table.

    Raises
    ------
    PartitionMissing
        If the view was never published.
    """
    hour = [HOUR] if view.granularity == "hour" else []
    needed = dict.fromkeys((*view.keys, view.time, DAY, *hour, *columns))
    partitions = _partitions_until(view, lake, times, version)
    expiries = _expiries(view, partitions)
    first = pc.min(times).as_py()
    # What had left the online store before the first of `times` is not read.
    read = [part for part in partitions if first is None or expiries.get(day_of(part), first) >= first]
    features = lake.read_table(view.name, read, version=version, columns=list(needed))
    return features.select(list(columns)).take(_newest_positions(view, keys, times, features, expiries))


def _partitions_until(
    view: FeatureView, lake: Lake, times: pa.ChunkedArray, version: int | None
) -> list[Partition]:
    """Return the published partitions of the view that are available at the latest of `times`."""
    last = pc.max(times).as_py()
    published = lake.partitions(view.name, version=version)
    due_at = view.availability.due_at
    return [part for part in published if last is None or due_at(part) <= last]


def _expiries(view: FeatureView, partitions: Sequence[Partition]) -> dict[date, datetime]:
    """
    Return when the rows of each day leave the online store: when as many newer days as it keeps are there.

    Days that stay, and those of a view that is not online, are left out.
    """
    if view.online_days is None:
        return {}
    first_due: dict[date, datetime] = {}
    for partition in sorted(partitions):
        first_due.setdefault(day_of(partition), view.availability.due_at(partition))
    days = list(first_due)
    return {old: first_due[new] for old, new in zip(days, days[view.online_days :], strict=False)}


def _newest_positions(
    view: FeatureView,
    keys: pa.Table,
    times: pa.ChunkedArray,
    features: pa.Table,
    expiries: Mapping[date, datetime],
) -> pa.Array:
    """
    Return the position of the newest row of the same key that is not later, or null: (n,), int64.

    The position is null, too, if the row had left the online store by then (`expiries`). Of two rows of a key
    with the same time, that of the later partition counts. A null equals no key.
    """
    spine_codes, feature_codes = _key_codes(keys, features.select(view.keys))
    left = pd.DataFrame({KEY: spine_codes, TIME: _to_microseconds(times)})
    left[ORDER] = np.arange(len(left))
    # A row counts from the time of its event, and not before its partition is available.
    codes, partitions = _partition_codes(view, features)
    due_times = _moments([view.availability.due_at(partition) for partition in partitions])[codes]
    right = pd.DataFrame({KEY: feature_codes, PARTITION: codes})
    right[TIME] = np.maximum(_to_microseconds(features[view.time]), due_times)
    right[POSITION] = np.arange(len(right))
    right = right[features[view.time].is_valid().to_numpy()]
    joined = pd.merge_asof(
        left.sort_values(TIME, kind="stable"),
        right.sort_values([TIME, PARTITION], kind="stable")[[KEY, TIME, POSITION]],
        on=TIME,
        by=KEY,
    )
    joined = joined.sort_values(ORDER, ignore_index=True)
    positions = joined[POSITION].astype("Int64")
    expire_at = _moments([expiries.get(day_of(partition), NEVER) for partition in partitions])[codes]
    if len(expire_at):
        is_stale = joined[TIME] >= expire_at[positions.fillna(0).to_numpy(dtype=np.int64)]
        positions = positions.mask(is_stale)
    return pa.array(positions, type=pa.int64())


def _moments(moments: Sequence[datetime]) -> npt.NDArray[np.int64]:
    """Return moments (n,) in UTC as integers like `_to_microseconds`."""
    naive = [moment.replace(tzinfo=None) for moment in moments]
    result: npt.NDArray[np.int64] = np.array(naive, dtype="datetime64[us]").astype(np.int64)
    return result


def _partition_codes(view: FeatureView, features: pa.Table) -> tuple[Codes, list[Partition]]:
    """Return the position of each row's partition (n,) among the partitions, which ascend."""
    names = features[DAY]
    if view.granularity == "hour":
        names = pc.binary_join_element_wise(names, features[HOUR], "T")
    codes, partitions = pd.factorize(names.to_numpy(), sort=True)
    return codes, [parse_partition_name(name) for name in partitions]


def _spine(view: FeatureView, entities: pd.DataFrame) -> pa.Table:
    """Return the entities' keys and times (n rows) in the types that the view declares."""
    declared = {column.name: dtypes.TYPES[column.dtype] for column in view.columns}
    columns = {}
    for name in (*view.keys, view.time):
        values = pa.Array.from_pandas(entities[name])
        if not _may_be_cast(values.type, declared[name]):
            raise DataError(
                f"{view.name}: {name} of the entities has type {values.type}, and {declared[name]} in the "
                "view. Give it the view's type."
            )
        columns[name] = values.cast(declared[name])
    return pa.table(columns)


def _may_be_cast(actual: pa.DataType, expected: pa.DataType) -> bool:
    """Return whether a cast keeps the meaning of the values."""
    kinds: list[Any] = [pa.types.is_integer, pa.types.is_timestamp, _is_text]
    return pa.types.is_null(actual) or any(is_kind(actual) and is_kind(expected) for is_kind in kinds)


def _is_text(actual: pa.DataType) -> bool:
    return bool(pa.types.is_string(actual) or pa.types.is_large_string(actual))


def _key_codes(spine: pa.Table, features: pa.Table) -> tuple[Codes, Codes]:
    """Return one code for each key (n,) and (m,): equal codes for equal keys."""
    codes = np.zeros(len(spine) + len(features), dtype=np.int64)
    has_null = np.zeros(len(codes), dtype=bool)
    for name in spine.column_names:
        kind = spine[name].type
        values = pa.chunked_array([*spine[name].chunks, *features[name].cast(kind).chunks], type=kind)
        encoded = values.combine_chunks().dictionary_encode()
        indices = pc.fill_null(encoded.indices, -1).to_numpy().astype(np.int64)
        has_null |= indices < 0
        # Factorised again after each column, so that the product cannot overflow.
        codes = pd.factorize(codes * (len(encoded.dictionary) + 1) + indices)[0]
    spine_codes = np.where(has_null[: len(spine)], NULL_KEYS[0], codes[: len(spine)])
    feature_codes = np.where(has_null[len(spine) :], NULL_KEYS[1], codes[len(spine) :])
    return spine_codes, feature_codes


def _to_microseconds(times: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Return timestamps (n,) as integers, so that all years can be compared."""
    result: npt.NDArray[np.int64] = pc.fill_null(times.cast(pa.int64()), 0).to_numpy()
    return result
