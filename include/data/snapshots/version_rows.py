"""Rows of a snapshot with the features of another version, which may have been declared otherwise."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from include.data.feature_store.feature_rows import read_feature_rows
from include.data.lake.partition_columns import DAY
from include.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from include.data.lake.delta_tables import Lake
    from include.data.snapshots.snapshot import Snapshot
    from include.declarations.specification import Specification


def version_rows(
    specification: Specification, snapshot: Snapshot, lake: Lake, rows: pd.DataFrame
) -> pd.DataFrame:
    """
    Return `rows` with the features of another version, row for row.

    Features that both have are taken from `rows`; the others are read from the tables, at the versions of the
    snapshot.

    Parameters
    ----------
    specification
        Specification of the other version.
    snapshot
        Snapshot that the rows belong to.
    rows
        Some of its rows, with keys and day.

    Raises
    ------
    DataError
        If the other version predicts rows with other keys, or a row or a feature does not exist.
    """
    others = _features_to_read(specification, snapshot, rows)
    if not others:
        return rows
    spine = specification.selection.spine
    keys = [*spine.keys, DAY]
    if snapshot.specification is not None:
        own = snapshot.specification.selection.spine
        if own.keys != spine.keys:
            raise DataError(
                f"its rows are those of {spine.table} by {', '.join(spine.keys)}, and those of the candidate "
                f"are of {own.table} by {', '.join(own.keys)}"
            )
    days = [date.fromisoformat(day) for day in sorted(rows[DAY].unique())]
    read = read_feature_rows(specification.selection, lake, days, names=others, versions=snapshot.versions)
    features = read[[*keys, *others]].drop_duplicates(keys)
    remaining = rows.drop(columns=[name for name in others if name in rows])
    merged = remaining.merge(features, on=keys, how="left", indicator=True, validate="many_to_one")
    n_lost = int((merged["_merge"] != "both").sum())
    if n_lost:
        raise DataError(f"{n_lost} of {len(rows)} rows do not exist in {spine.table}")
    return merged.drop(columns="_merge").set_index(rows.index)


def _features_to_read(specification: Specification, snapshot: Snapshot, rows: pd.DataFrame) -> list[str]:
    """Return the features of the version that the rows lack, or have from elsewhere or in another type."""
    own = snapshot.specification
    if own is None:
        return [name for name in specification.features if name not in rows]
    others = []
    for name in specification.features:
        is_same = (
            name in rows
            and own.selection.origins.get(name) == specification.selection.origins[name]
            and own.selection.columns[name].dtype == specification.selection.columns[name].dtype
        )
        if not is_same:
            others.append(name)
    return others
