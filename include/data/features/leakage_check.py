"""Prove that no feature uses what became known later: build it again from what was known, and compare."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from include.catalog import catalog
from include.data.features.build import known_at, source_windows
from include.data.lake import dtypes
from include.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from datetime import date

    from include.data.features.build import Build
    from include.data.lake.delta_tables import Lake
    from include.data.validation.results import ValidationResult
    from include.declarations import Dataset, FeatureView

    Frames = Mapping[str, pd.DataFrame]

GATE = "expect_features_to_be_known_in_time"
MOMENTS = 24  # prediction moments of a partition that are looked at, the same ones each time
MOST_DAYS = 24  # of a bulk run, in which that many moments are spread over all days


@dataclass(frozen=True, slots=True)
class Leak:
    """
    A feature that is another one without what became known after the prediction; the first of its rows.

    `value` was published, `known` is what could be known at `predicted_at`; `known_at` is when the source
    had told enough for `value`.
    """

    feature: str
    source: str
    entity: str
    value: str
    known: str
    predicted_at: str
    known_at: str
    rows: int

    def __str__(self) -> str:
        return (
            f"{self.feature} leaks from {self.source} in {self.rows} rows, such as {self.entity}: it is "
            f"{self.value}, known at {self.known_at}, but at the time of prediction, {self.predicted_at}, it "
            f"was {self.known}"
        )


@dataclass(frozen=True, slots=True)
class LeakageCheck:
    """The leaks of some partitions, and how many of their rows were built again."""

    leaks: tuple[Leak, ...]
    rows: int

    @property
    def passed(self) -> bool:
        """Whether something was looked at, and no leak was found."""
        return self.rows > 0 and not self.leaks

    def results(self) -> ValidationResult:
        """Return what was found as the evidence of a gate."""
        from include.data.validation.results import CheckResult, ValidationResult

        def result(feature: str, message: str, rows: int, *examples: str) -> CheckResult:
            return CheckResult(GATE, feature, "critical", not message, rows, examples, message, bool(message))

        results = [result(leak.feature, str(leak), leak.rows, leak.entity) for leak in self.leaks]
        if not results:
            results = [result("", "" if self.rows else "there was no row to look for leaks in", 0)]
        return ValidationResult(self.passed, self.rows, tuple(results))

    def raise_if_failed(self, view: str) -> None:
        """
        Do nothing if no feature knows the future.

        :raises DataError: naming each feature that does, its source, a row, and the times
        """
        if self.leaks:
            raise DataError(
                f"{view}: {'; '.join(map(str, self.leaks))}. Nothing was published. Let build() in "
                f"include/features/{view}.py use of each source only the rows that were known in time."
            )
        if not self.rows:
            raise DataError(f"{view}: there was no row to look for leaks in. Build the features first.")


def check_leakage(
    view: FeatureView,
    build: Build,
    lake: Lake,
    rows: pd.DataFrame,
    days: Collection[date],
    *,
    datasets: Mapping[str, Dataset] | None = None,
) -> LeakageCheck:
    """
    Return which features of `rows`, built for `days`, are others without what became known too late.

    For some prediction moments of each day every source is cut to what was known by then, and the rows of
    that moment are built again. A feature must come out as it stands in `rows`.

    :raises PartitionMissing: if a day of a source was never published
    """
    declared = datasets if datasets is not None else catalog().datasets
    by_day = dict(tuple(rows.groupby("day", sort=True)))
    wanted = _spread(sorted(day for day in days if str(day) in by_day), MOST_DAYS)
    most = max(2, 2 * MOMENTS // max(len(wanted), 2))
    leaks: dict[str, Leak] = {}
    looked_at = 0
    for day, frames in source_windows(view, lake, wanted, datasets=declared):
        published = _of_some_moments(by_day[str(day)], view, most)
        looked_at += len(published)
        for leak in _DayCheck(view, build, declared, day, frames).leaks(published):
            seen = leaks.get(leak.feature)
            leaks[leak.feature] = replace(seen, rows=seen.rows + leak.rows) if seen else leak
    return LeakageCheck(tuple(leaks.values()), looked_at)


@dataclass(frozen=True, slots=True)
class _DayCheck:
    """One day of a view, to be built from less than there is."""

    view: FeatureView
    build: Build
    datasets: Mapping[str, Dataset]
    day: date
    frames: Frames

    def leaks(self, published: pd.DataFrame) -> Iterator[Leak]:
        """Give each feature that comes out as another one where only what was known is used."""
        sources = [source.dataset for source in self.view.sources]
        again = pd.concat(
            self._rebuild(dict.fromkeys(sources, moment), part)
            for moment, part in published.groupby(published[self.view.time] - self.view.horizon)
        ).reindex(published.index)
        for column in self.view.features:
            differs = _differ(published[column.name], again[column.name], column.dtype)
            if not differs.any():
                continue
            first = published[differs].iloc[[0]]
            moment = first[self.view.time].iloc[0] - self.view.horizon
            source, since = self._origin(column.name, column.dtype, first, moment)
            yield Leak(
                feature=column.name,
                source=source,
                entity=str(first[self.view.entity].iloc[0]),
                value=_shown(first[column.name].iloc[0]),
                known=_shown(again[column.name][differs].iloc[0]),
                predicted_at=str(moment),
                known_at=since,
                rows=int(differs.sum()),
            )

    def _origin(self, feature: str, dtype: str, row: pd.DataFrame, moment: pd.Timestamp) -> tuple[str, str]:
        """Return the source that alone makes the difference, and when it had told enough for the value."""
        candidates = self.view.sources_of(feature)
        for source in (*candidates, *(each for each in self.view.sources if each not in candidates)):
            alone = self._rebuild({source.dataset: moment}, row)
            if not _differ(row[feature], alone[feature], dtype).any():
                continue
            times = known_at(self.datasets[source.dataset], self.frames[source.dataset])
            later = sorted(times[times > moment].unique())
            low, high = 0, len(later) - 1
            while low < high:
                middle = (low + high) // 2
                enough = self._rebuild({source.dataset: later[middle]}, row)
                same = not _differ(row[feature], enough[feature], dtype).any()
                low, high = (low, middle) if same else (middle + 1, high)
            return source.dataset, str(later[low]) if later else "an unknown time"
        return " and ".join(source.dataset for source in candidates), "an unknown time"

    def _rebuild(self, until: Mapping[str, pd.Timestamp], published: pd.DataFrame) -> pd.DataFrame:
        """Return the published rows as they are built from sources that end at these moments, row by row."""
        cut = dict(self.frames)
        for name, moment in until.items():
            in_time = known_at(self.datasets[name], cut[name]) <= moment
            cut[name] = cut[name][in_time.to_numpy()].reset_index(drop=True)
        built = self.build(cut, self.day).drop_duplicates(self.view.entity).set_index(self.view.entity)
        found = built.reindex(published[self.view.entity])
        return found.set_axis(published.index)


def _of_some_moments(rows: pd.DataFrame, view: FeatureView, most: int) -> pd.DataFrame:
    chosen = rows[rows[view.time].isin(_spread(sorted(rows[view.time].unique()), most))]
    return chosen.reset_index(drop=True)


def _spread(values: list[Any], most: int) -> list[Any]:
    """Return at most `most` of the values, evenly spread, the first and the last among them."""
    if len(values) <= most:
        return values
    return [values[place] for place in np.linspace(0, len(values) - 1, most).round().astype(int)]


def _differ(published: pd.Series[Any], again: pd.Series[Any], dtype: str) -> np.ndarray[Any, Any]:
    one, other = (dtypes.coerce(values, dtype)[0].astype(object) for values in (published, again))
    both_missing = one.isna() & other.isna()
    return ~((one == other).fillna(False).astype(bool) | both_missing).to_numpy()


def _shown(value: Any) -> str:
    return "missing" if pd.isna(value) else str(value)
