"""Columns of a feature view that are served, and their names in Feast."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.data.lake.partition_columns import DAY

if TYPE_CHECKING:
    from include.declarations import FeatureView


def names(view: FeatureView) -> list[str]:
    """
    Return the columns that are served: those of the view without entity and event time, and the day.

    The time of undated rows is when their source was known, which is served as of any other view.
    """
    others = {*view.keys, view.time} if view.is_dated else set(view.keys)
    return [*(column.name for column in view.columns if column.name not in others), DAY]


def join_key(view: FeatureView, column: str) -> str:
    """
    Return Feast's name for a column of the view's entity.

    Each view has names of its own: in Feast, entities of one name share one type. No declared column contains
    a dot.
    """
    return f"{view.name}.{column}"
