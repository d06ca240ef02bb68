"""Leakage check: features are rebuilt from the data known at prediction time and compared."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from include.catalog import catalog
from include.data.features import availability
from include.data.features.build import call_build, describe_entity, source_windows, view_file
from include.data.features.references import is_reference
from include.data.reading.table import read_series
from include.database.table_checks import LEAKAGE_CHECK
from include.declarations import KNOWN_AT
from include.declarations.data.columns import shown_value
from include.errors import DataError
from include.partitions import format_partition
from include.storage.progress import tracked

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from include.data.features.build import Build
    from include.data.features.references import ReferenceUse
    from include.data.lake.delta_tables import Lake
    from include.data.validation.results import ValidationResult
    from include.declarations import Dataset, FeatureView, ViewSource
    from include.partitions import Partition

    Frames = Mapping[str, pd.DataFrame]

GATE = LEAKAGE_CHECK
UNKNOWN_TIME = "an unknown time"
# Prediction times per partition that are checked, always the same ones.
MAX_PREDICTION_TIMES = 24
# Partitions of a bulk run that are checked; the prediction times are spread over them.
MAX_PARTITIONS = 24


@dataclass(frozen=True, slots=True)
class Leak:
    """
    A feature whose value changes without data from after the prediction time; described by its first row.

    `value` was published; `value_in_time` is the value from data known at `predicted_at`; `known_at` is the
    time from which the source had enough data for `value`. `rows` is the number of rows that differ.
    """

    feature: str
    source: str
    entity: str
    value: str
    value_in_time: str
    predicted_at: str
    known_at: str
    rows: int

    def __str__(self) -> str:
        return (
            f"{self.feature} leaks from {self.source} in {self.rows} rows, such as {self.entity}: it is "
            f"{self.value}, known at {self.known_at}, but at the time of prediction, {self.predicted_at}, it "
            f"was {self.value_in_time}"
        )


@dataclass(frozen=True, slots=True)
class LeakageCheck:
    """
    Leaks of some partitions, and the number of rows that were rebuilt.

    `empty` says that the partitions have no rows, as the view's `volume` allows.
    """

    leaks: tuple[Leak, ...]
    rows: int
    empty: bool = False

    @property
    def passed(self) -> bool:
        """Whether no row differs, and at least one was rebuilt unless the partitions have none."""
        return (self.rows > 0 or self.empty) and not self.leaks

    def results(self) -> ValidationResult:
        """Return the leaks as the result of a quality gate."""
        from include.data.validation.results import CheckResult, ValidationResult

        def result(feature: str, message: str, rows: int, *examples: str) -> CheckResult:
            return CheckResult(GATE, feature, "critical", not message, rows, examples, message, bool(message))

        results = [result(leak.feature, str(leak), leak.rows, leak.entity) for leak in self.leaks]
        if not results:
            results = [result("", "" if self.passed else "there was no row to check", 0)]
        return ValidationResult(self.passed, self.rows, tuple(results))

    def raise_if_failed(self, view: str) -> None:
        """
        Raise DataError if a feature leaks or no row was checked.

        The message names each feature that leaks, its source, a row, and the times.
        """
        if self.leaks:
            raise DataError(
                f"{view}: {'; '.join(map(str, self.leaks))}. Nothing was published. Change build() in "
                f"{view_file(view)} to use only rows that were known in time; or declare in the "
                "dataset what was known earlier: `known_at`, `known_from`."
            )
        if not self.passed:
            raise DataError(f"{view}: there was no row to check for leaks. Build the features first.")


def check_leakage(
    view: FeatureView,
    build: Build,
    lake: Lake,
    rows: pd.DataFrame,
    partitions: Collection[Partition],
    *,
    datasets: Mapping[str, Dataset] | None = None,
    references: Sequence[ReferenceUse] | None = None,
) -> LeakageCheck:
    """
    Rebuild a sample of `rows` from data known at prediction time, and return the features that differ.

    Rows without a time are not rebuilt: nothing in them is dated, so nothing can be known too late. Reference
    tables are not cut: their version was chosen by what was known.

    For some prediction times of each partition, every source is cut to the rows known by then and the rows of
    that time are rebuilt; each feature must equal its value in `rows`.

    Raises
    ------
    PartitionMissing
        If a day of a source was never published.
    """
    is_empty = rows.empty and view.volume[0] == 0
    if not view.is_dated:
        return LeakageCheck((), len(rows), empty=is_empty)
    _require_features(view, rows)
    declared = datasets if datasets is not None else catalog().sources
    names = availability.partition_names(rows, view.granularity)
    by_partition = dict(tuple(rows.groupby(names, sort=True)))
    with_rows = [partition for partition in sorted(partitions) if format_partition(partition) in by_partition]
    checked = _evenly_spaced(with_rows, MAX_PARTITIONS)
    max_times = max(2, 2 * MAX_PREDICTION_TIMES // max(len(checked), 2))
    leaks: dict[str, Leak] = {}
    n_rows = 0
    dated = [source for source in view.sources if not is_reference(view, declared[source.dataset])]
    windows = source_windows(view, lake, checked, datasets=declared, references=references)
    checks = tracked(windows, f"{view.name}: checked for leaks", len(checked), unit="partitions")
    for partition, frames in checks:
        published = _sample_times(by_partition[format_partition(partition)], view, max_times)
        n_rows += len(published)
        for leak in _PartitionCheck(view, build, partition, frames, dated).leaks(published):
            earlier = leaks.get(leak.feature)
            leaks[leak.feature] = replace(earlier, rows=earlier.rows + leak.rows) if earlier else leak
    return LeakageCheck(tuple(leaks.values()), n_rows, empty=is_empty)


@dataclass(frozen=True, slots=True)
class _PartitionCheck:
    """One partition of a view with the frames of its sources, which can be rebuilt from fewer rows."""

    view: FeatureView
    build: Build
    partition: Partition
    frames: Frames
    dated: Sequence[ViewSource]

    def leaks(self, published: pd.DataFrame) -> Iterator[Leak]:
        """Yield each feature that differs when only data known at prediction time is used."""
        sources = [source.dataset for source in self.dated]
        rebuilt = pd.concat(
            self._rebuild(dict.fromkeys(sources, predicted_at), part)
            for predicted_at, part in published.groupby(published[self.view.time] - self.view.horizon)
        ).reindex(published.index)
        for column in self.view.features:
            differs = _differ(published[column.name], rebuilt[column.name], column.dtype)
            if not differs.any():
                continue
            first = published[differs].iloc[[0]]
            predicted_at = first[self.view.time].iloc[0] - self.view.horizon
            source, known_since = self._find_source(column.name, column.dtype, first, predicted_at)
            yield Leak(
                feature=column.name,
                source=source,
                entity=describe_entity(self.view, first.iloc[0]),
                value=self._shown(column.name, first[column.name].iloc[0]),
                value_in_time=self._shown(column.name, rebuilt[column.name][differs].iloc[0]),
                predicted_at=str(predicted_at),
                known_at=known_since,
                rows=int(differs.sum()),
            )

    def _shown(self, column: str, value: Any) -> str:
        return shown_value(self.view.columns, column, _describe(value))

    def _find_source(
        self, feature: str, dtype: str, row: pd.DataFrame, predicted_at: pd.Timestamp
    ) -> tuple[str, str]:
        """Return the source that alone causes the difference, and when it had enough data for the value."""
        candidates = [source for source in self.view.sources_of(feature) if source in self.dated]
        others = [source for source in self.dated if source not in candidates]
        for source in (*candidates, *others):
            rebuilt = self._rebuild({source.dataset: predicted_at}, row)
            if _differ(row[feature], rebuilt[feature], dtype).any():
                return source.dataset, self._known_since(source.dataset, feature, dtype, row, predicted_at)
        return " and ".join(source.dataset for source in candidates or others), UNKNOWN_TIME

    def _known_since(
        self, dataset: str, feature: str, dtype: str, row: pd.DataFrame, predicted_at: pd.Timestamp
    ) -> str:
        """Find the earliest time from which the dataset's rows give the published value, by bisection."""
        times = self.frames[dataset][KNOWN_AT]
        later = sorted(times[times > predicted_at].unique())
        if not later:
            return UNKNOWN_TIME
        low = 0
        high = len(later) - 1
        while low < high:
            middle = (low + high) // 2
            rebuilt = self._rebuild({dataset: later[middle]}, row)
            if _differ(row[feature], rebuilt[feature], dtype).any():
                low = middle + 1
            else:
                high = middle
        return str(later[low])

    def _rebuild(self, until: Mapping[str, pd.Timestamp], published: pd.DataFrame) -> pd.DataFrame:
        """Return the published rows (n, in order) rebuilt from the rows of each source known by its time."""
        cut = dict(self.frames)
        for name, last_known in until.items():
            in_time = cut[name][KNOWN_AT] <= last_known
            cut[name] = cut[name][in_time.to_numpy()].reset_index(drop=True)
        keys = list(self.view.keys)
        built = call_build(self.view, self.build, cut, self.partition).drop_duplicates(keys)
        _require_features(self.view, built)
        return published[keys].merge(built, on=keys, how="left").set_axis(published.index)


def _require_features(view: FeatureView, rows: pd.DataFrame) -> None:
    """Raise DataError if a declared column is missing in the rows that `build` returned."""
    missing = [column.name for column in view.features if column.name not in rows.columns]
    if missing:
        raise DataError(
            f"{view.name}: build() returns no column {', '.join(missing)}, which the view declares. Correct "
            f"{view_file(view.name)}."
        )


def _sample_times(rows: pd.DataFrame, view: FeatureView, max_times: int) -> pd.DataFrame:
    times = _evenly_spaced(sorted(rows[view.time].unique()), max_times)
    return rows[rows[view.time].isin(times)].reset_index(drop=True)


def _evenly_spaced(values: list[Any], size: int) -> list[Any]:
    """Return at most `size` of the values, evenly spaced, including the first and the last."""
    if len(values) <= size:
        return values
    return [values[position] for position in np.linspace(0, len(values) - 1, size).round().astype(int)]


def _differ(published: pd.Series[Any], rebuilt: pd.Series[Any], dtype: str) -> np.ndarray[Any, Any]:
    """Return a boolean mask (n,) of the rows whose values differ; two missing values are equal."""
    left = pd.Series(read_series(published, dtype).values.to_pylist(), dtype=object)
    right = pd.Series(read_series(rebuilt, dtype).values.to_pylist(), dtype=object)
    both_missing = left.isna() & right.isna()
    return ~((left == right).fillna(False).astype(bool) | both_missing).to_numpy()


def _describe(value: Any) -> str:
    return "missing" if pd.isna(value) else str(value)
