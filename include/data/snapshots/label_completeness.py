"""Completeness of labels: the share of each day's rows whose label has landed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.data.lake.partition_columns import DAY
from include.declarations.base import INTERNAL_PREFIX

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import date

    import pandas as pd

    from include.data.lake.delta_tables import Lake
    from include.declarations import UseCase
    from include.declarations.feature_selection import Spine

_ORIGIN = f"{INTERNAL_PREFIX}origin"


@dataclass(frozen=True, slots=True)
class Completeness:
    """
    Numbers of rows to predict: all, with a row in the label's dataset, and with a label value.

    A row whose label is null in the label's dataset, such as the delay of a cancelled flight, has landed.
    """

    rows: int
    landed: int
    labelled: int

    @property
    def share(self) -> float:
        """Share of the rows that landed, between 0 and 1; 0 without rows."""
        return self.landed / self.rows if self.rows else 0.0


def share_landed(days: Iterable[Completeness]) -> float:
    """Return the share of the rows of these days whose label has landed, between 0 and 1."""
    n_landed = 0
    n_rows = 0
    for counts in days:
        n_landed += counts.landed
        n_rows += counts.rows
    return n_landed / n_rows if n_rows else 0.0


def label_completeness(
    use_case: UseCase,
    spine: Spine,
    lake: Lake,
    days: Collection[date],
    *,
    versions: Mapping[str, int] | None = None,
) -> dict[date, Completeness]:
    """
    Return the completeness of the labels of each of `days` that has rows of the spine, by ascending day.

    `versions` are the versions of the tables, by default the newest. Where the label's dataset is the spine,
    each of its rows has landed.
    """
    label = use_case.label
    table_versions = versions or {}
    version = table_versions.get(spine.table)
    spine_days = sorted(set(days) & set(lake.days(spine.table, version=version)))
    if not spine_days:
        return {}
    keys = [DAY, *spine.keys]
    if spine.table == label.dataset:
        rows = lake.read(spine.table, spine_days, version=version, columns=[DAY, label.column])
        counts = _completeness_by_day(rows.assign(landed=True, labelled=rows[label.column].notna()))
    else:
        rows = lake.read(spine.table, spine_days, version=version, columns=keys)
        label_version = table_versions.get(label.dataset)
        with_labels = set(lake.days(label.dataset, version=label_version))
        label_days = [day for day in spine_days if day in with_labels]
        labels = (
            lake.read(label.dataset, label_days, version=label_version, columns=[*keys, label.column])
            if label_days
            else rows.iloc[:0].assign(**{label.column: None})
        )
        counts = count_labels(rows, labels, spine.keys, label.column)
    return {day: counts[day.isoformat()] for day in spine_days if day.isoformat() in counts}


def count_labels(
    rows: pd.DataFrame, labels: pd.DataFrame, keys: Sequence[str], column: str
) -> Mapping[str, Completeness]:
    """Return the completeness by day of `rows`; a label has the same day and `keys` as its row."""
    landed = labels.drop_duplicates([DAY, *keys])
    joined = rows.merge(landed, on=[DAY, *keys], how="left", indicator=_ORIGIN)
    return _completeness_by_day(
        joined.assign(landed=joined[_ORIGIN] == "both", labelled=joined[column].notna())
    )


def _completeness_by_day(rows: pd.DataFrame) -> Mapping[str, Completeness]:
    counts = rows.groupby(DAY).agg(
        rows=("landed", "size"), landed=("landed", "sum"), labelled=("labelled", "sum")
    )
    return {
        str(day): Completeness(int(row["rows"]), int(row["landed"]), int(row["labelled"]))
        for day, row in counts.iterrows()
    }
