"""Completeness of labels: the share of each day's rows whose label has landed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.data.lake.partition_columns import DAY
from include.declarations.base import INTERNAL_PREFIX

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import date

    import pandas as pd

    from include.data.lake.delta_tables import Lake
    from include.declarations import FeatureView, UseCase

_ORIGIN = f"{INTERNAL_PREFIX}origin"


@dataclass(frozen=True, slots=True)
class Completeness:
    """
    Numbers of rows of a feature view: all, with a row in the label's dataset, and with a label value.

    A row whose label is null in the label's dataset, such as the delay of a cancelled flight, has landed.
    """

    rows: int
    landed: int
    labelled: int

    @property
    def share(self) -> float:
        """Share of the rows that landed, between 0 and 1; 0 without rows."""
        return self.landed / self.rows if self.rows else 0.0


def label_completeness(
    use_case: UseCase,
    view: FeatureView,
    lake: Lake,
    days: Collection[date],
    *,
    versions: tuple[int | None, int | None] = (None, None),
) -> dict[date, Completeness]:
    """
    Return the completeness of the labels of each of `days` that has rows of features, by ascending day.

    `versions` are the versions of the feature view's table and of the label's table, by default the newest.
    """
    label = use_case.label
    with_features = sorted(set(days) & set(lake.days(view.name, version=versions[0])))
    if not with_features:
        return {}
    with_labels = set(lake.days(label.dataset, version=versions[1]))
    label_days = [day for day in with_features if day in with_labels]
    rows = lake.read(view.name, with_features, version=versions[0], columns=[DAY, view.entity])
    labels = (
        lake.read(label.dataset, label_days, version=versions[1], columns=[DAY, view.entity, label.column])
        if label_days
        else rows.iloc[:0].assign(**{label.column: None})
    )
    counts = count_labels(rows, labels, view.entity, label.column)
    return {day: counts[day.isoformat()] for day in with_features if day.isoformat() in counts}


def count_labels(
    rows: pd.DataFrame, labels: pd.DataFrame, entity: str, column: str
) -> Mapping[str, Completeness]:
    """Return the completeness by day of `rows`; a label has the same day and `entity` as its row."""
    landed = labels.drop_duplicates([DAY, entity])
    joined = rows.merge(landed, on=[DAY, entity], how="left", indicator=_ORIGIN)
    parts = joined.assign(landed=joined[_ORIGIN] == "both", labelled=joined[column].notna())
    counts = parts.groupby(DAY).agg(
        rows=("landed", "size"), landed=("landed", "sum"), labelled=("labelled", "sum")
    )
    return {
        str(day): Completeness(int(row["rows"]), int(row["landed"]), int(row["labelled"]))
        for day, row in counts.iterrows()
    }
