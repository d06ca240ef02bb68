"""Build the rows of a feature view from its datasets, with the time at which each source was known."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from include.catalog import catalog, declaration_module
from include.data.features import availability
from include.data.features.references import is_reference, read_version, used_versions
from include.data.lake import dtypes
from include.data.lake.partition_columns import DAY, HOUR, with_partition_columns
from include.data.reading.table import read_series
from include.declarations import KNOWN_AT
from include.declarations.data.columns import shown_value
from include.errors import DataError
from include.partitions import format_partition
from include.storage.progress import tracked
from include.user_code import team_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from include.data.features.references import ReferenceUse
    from include.data.lake.delta_tables import Lake
    from include.declarations import Dataset, FeatureView, ViewSource
    from include.partitions import Partition

    Build = Callable[[Mapping[str, pd.DataFrame], Partition], pd.DataFrame]


@cache
def view_file(view: str) -> str:
    """Return the file that declares a view, such as `include/use_cases/churn.py`."""
    try:
        module = declaration_module("features", view)
    except ModuleNotFoundError:
        module = None
    file = getattr(module, "__file__", None)
    path = Path(file or f"features/{view}.py")
    return f"include/{path.parent.name}/{path.name}"


def build_features(
    view: FeatureView,
    module_build: Build,
    lake: Lake,
    partitions: Collection[Partition],
    *,
    datasets: Mapping[str, Dataset] | None = None,
    references: Sequence[ReferenceUse] | None = None,
) -> pd.DataFrame:
    """
    Build the rows of a feature view for some days or hours.

    Partitions that are not known when the view's partition is are not read, so that past and current ones are
    built from the same inputs. Each source must be published for every partition that is read, except before
    its first and after its last one.

    Parameters
    ----------
    view
        Declaration of the feature view.
    module_build
        `build(frames, partition)` of the declaration's module. Each frame has the column `KNOWN_AT`: when
        its row was known.
    lake
        Lake with the tables of the view's datasets.
    partitions
        Days or hours to build.
    datasets, references
        Datasets by name, and versions of reference tables; by default the declared and the known ones.

    Returns
    -------
    pandas.DataFrame
        One row per entity and partition: declared columns, others of `build`, and the partition columns.

    Raises
    ------
    PartitionMissing
        If a partition of a source was never published.
    DataError
        If a value was not known, or the row not online, `horizon` before the event.
    """
    declared = datasets if datasets is not None else catalog().sources
    windows = source_windows(view, lake, partitions, datasets=declared, references=references)
    progress = tracked(windows, f"{view.name}: built", len(partitions), unit="partitions")
    parts = [_build_partition(view, module_build, frames, part, declared) for part, frames in progress]
    rows = pd.concat(parts, ignore_index=True)
    _check_point_in_time(view, rows)
    return rows


def build_function(view: FeatureView) -> Build:
    """Return `build` of the view's module, or a function that returns the source's rows as they are."""
    declared: Build | None = getattr(declaration_module("features", view.name), "build", None)
    return declared or RowsAsTheyAre(view)


def call_build(
    view: FeatureView, build: Build, frames: Mapping[str, pd.DataFrame], partition: Partition
) -> pd.DataFrame:
    """
    Return what `build` of a view makes of the frames of its sources.

    Raises
    ------
    DataError
        If `build` raises, or returns no frame with the view's key and time; the message names the view, the
        partition, the file and the line.
    """
    action = f"{view.name}: build() of {format_partition(partition)}"
    remedy = f"Correct {view_file(view.name)}, or a declaration of its datasets."
    # What `build` changes in place is not seen by its next call, or by what is looked up in the frames later.
    own_frames = {name: frame.copy() for name, frame in frames.items()}
    with team_errors(action, remedy=remedy, error=DataError):
        rows = build(own_frames, partition)
    if not isinstance(rows, pd.DataFrame):
        raise DataError(f"{action} returns {type(rows).__name__}, and not a DataFrame. {remedy}")
    needed = (*view.keys, view.time) if view.is_dated else view.keys
    missing = [name for name in needed if name not in rows.columns]
    if missing:
        raise DataError(f"{action} returns no column {', '.join(missing)}. {remedy}")
    if not rows.columns.is_unique:
        repeated = ", ".join(map(str, rows.columns[rows.columns.duplicated()].unique()))
        raise DataError(f"{action} returns {repeated} more than once. {remedy}")
    return rows


@dataclass(frozen=True, slots=True)
class RowsAsTheyAre:
    """`build` of a view whose module has none: the view's columns of the only source."""

    view: FeatureView

    def __call__(self, frames: Mapping[str, pd.DataFrame], _: Partition) -> pd.DataFrame:
        """Return the rows of the source."""
        (source,) = self.view.sources
        rows = frames[source.dataset]
        return rows[[column.name for column in self.view.columns if column.name in rows.columns]]


def source_windows(
    view: FeatureView,
    lake: Lake,
    partitions: Collection[Partition],
    *,
    datasets: Mapping[str, Dataset],
    references: Sequence[ReferenceUse] | None = None,
) -> Iterator[tuple[Partition, dict[str, pd.DataFrame]]]:
    """
    Yield each partition, ascending, with the frame of each dataset that `build` gets for it.

    Raises
    ------
    PartitionMissing
        If a partition of a source was never published, or a reference table has no version.
    """
    uses = references
    if uses is None:
        uses = used_versions(view, lake, partitions, datasets=datasets)
    tables = {use: read_version(lake, use) for use in uses}
    dated = [source for source in view.sources if not is_reference(view, datasets[source.dataset])]
    rows_by_partition = {
        source.dataset: _read_by_partition(lake, view, source, datasets[source.dataset], partitions)
        for source in dated
    }
    for partition in sorted(partitions):
        frames = {use.dataset: frame for use, frame in tables.items() if partition in use.partitions}
        for source in dated:
            read = availability.source_partitions(view, source, datasets[source.dataset], partition)
            names = [format_partition(source_partition) for source_partition in read]
            frames[source.dataset] = _concat(rows_by_partition[source.dataset], names)
        yield partition, frames


def _build_partition(
    view: FeatureView,
    module_build: Build,
    frames: Mapping[str, pd.DataFrame],
    partition: Partition,
    datasets: Mapping[str, Dataset],
) -> pd.DataFrame:
    rows = call_build(view, module_build, frames, partition).drop(columns=KNOWN_AT, errors="ignore")
    for source in view.sources:
        if source.known_at not in rows.columns:
            newest = frames[source.dataset][KNOWN_AT].max()
            if view.is_dated:
                _require_known_in_time(view, datasets[source.dataset], rows, newest)
            known_times = pd.Series(newest, index=rows.index, dtype="datetime64[us, UTC]")
            rows = rows.assign(**{source.known_at: known_times})
    if view.online is not None:
        _require_online_in_time(view, rows, partition)
    declared = [column.name for column in view.columns if column.name in rows.columns]
    others = [name for name in rows.columns if name not in declared]
    return with_partition_columns(rows[[*declared, *others]], partition)


def _read_by_partition(
    lake: Lake, view: FeatureView, source: ViewSource, dataset: Dataset, partitions: Collection[Partition]
) -> dict[str, pd.DataFrame]:
    """Return the rows of the source by the name of their partition; "" holds the frame without rows."""
    read = set()
    for partition in partitions:
        read.update(availability.source_partitions(view, source, dataset, partition))
    existing = [
        source_partition for source_partition in read if availability.exists(dataset, source_partition)
    ]
    rows = lake.read(dataset.name, existing) if existing else _empty_frame(dataset)
    is_online = view.online is not None
    late = availability.late_publications(dataset, lake) if is_online else {}
    known_times = availability.known_at(dataset, rows, online=is_online, late=late)
    rows = rows.assign(**{KNOWN_AT: known_times})
    names = availability.partition_names(rows, dataset.granularity)
    by_partition = {str(name): part for name, part in rows.groupby(names, sort=False)}
    return by_partition | {"": rows.iloc[:0]}


def _empty_frame(dataset: Dataset) -> pd.DataFrame:
    """Return a frame without rows in the types of a dataset; its table need not exist."""
    empty = dtypes.to_frame(dtypes.arrow_schema(dataset.columns).empty_table())
    parts = [DAY, HOUR] if dataset.granularity == "hour" else [DAY]
    return empty.assign(**dict.fromkeys(parts, pd.Series(dtype=object)))


def _concat(by_partition: Mapping[str, pd.DataFrame], names: Collection[str]) -> pd.DataFrame:
    parts = [by_partition[name] for name in names if name in by_partition]
    if len(parts) == 1:
        return parts[0].reset_index(drop=True)
    return pd.concat(parts or [by_partition[""]], ignore_index=True)


def describe_entity(view: FeatureView, row: pd.Series[Any]) -> str:
    """Return the key of a row as messages show it, with commas between several columns."""
    return ",".join(shown_value(view.columns, name, row[name]) for name in view.keys)


def _as_moments(rows: pd.DataFrame, name: str) -> pd.Series[pd.Timestamp]:
    """Return a column as moments, null where a value is none: the gate refuses its row."""
    values = rows[name]
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return values
    moments = read_series(values, "timestamp").values.to_pandas()
    return pd.Series(moments.array, index=rows.index)


def _require_known_in_time(
    view: FeatureView, dataset: Dataset, rows: pd.DataFrame, newest: pd.Timestamp
) -> None:
    """Raise DataError if the newest row of a source that `build` does not speak of was known too late."""
    events = _as_moments(rows, view.time)
    if rows.empty or pd.isna(newest) or not (newest > events - view.horizon).any():
        return
    event = events.min()
    raise DataError(
        f"{view.name}: build() returns no column {dataset.name}_known_at, so it is not known which rows of "
        f"{dataset.name} were used, and some of them were not known in time: until {newest}, with an event "
        f"at {event} and a horizon of {view.horizon}. Return the newest {KNOWN_AT} of the rows that were "
        f"used, or null, in {view_file(view.name)}; or declare in include/datasets/"
        f"{dataset.name}.py what is known before the end of its partition: `known_from`, or `known_at`."
    )


def _require_online_in_time(view: FeatureView, rows: pd.DataFrame, partition: Partition) -> None:
    """Raise DataError if the rows of a partition are online only after their predictions."""
    online_from = view.availability.due_at(partition)
    late = rows[_as_moments(rows, view.time) - view.horizon < online_from]
    if late.empty:
        return
    first = late.iloc[0]
    raise DataError(
        f"{view.name}: {len(late)} of {len(rows)} rows of {format_partition(partition)} would not be online "
        f"in time: they are from {online_from} on, but {describe_entity(view, first)} is predicted "
        f"{view.horizon} before {first[view.time]}. Declare an earlier `known_from` in "
        f"{view_file(view.name)}, so that it is built from what is known by then; or "
        "remove `online`."
    )


def _check_point_in_time(view: FeatureView, rows: pd.DataFrame) -> None:
    for source in view.sources:
        late = rows[_as_moments(rows, source.known_at) > _as_moments(rows, view.time) - view.horizon]
        if late.empty:
            continue
        examples = ", ".join(
            f"{describe_entity(view, row)} (known at {row[source.known_at]}, event at {row[view.time]})"
            for _, row in late.head(3).iterrows()
        )
        raise DataError(
            f"{view.name}: {len(late)} of {len(rows)} rows have features from the future: values of "
            f"{source.dataset} that were not known {view.horizon} before {view.time}: {examples}. "
            f"Correct build() in {view_file(view.name)}."
        )
