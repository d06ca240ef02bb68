"""Statistics of the columns of a sample: nulls, distribution over time, correlation with labels."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from include.data.lake.partition_columns import DAY
from include.data.snapshots.target_encoding import encode
from include.declarations import Dataset
from include.governance import usage
from include.pseudonyms import MASK

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from include.catalog import Catalog
    from include.data.lake.delta_tables import Lake
    from include.declarations import Column, FeatureView, Label, UseCase
    from include.governance.profile.sample import TableSample

NUMERIC = frozenset({"number", "integer"})
# Lower quantile, median and upper quantile of a number's band.
QUANTILES = (0.05, 0.5, 0.95)
MAX_CATEGORIES = 6
# Characters of a frequent value.
MAX_SHOWN = 30
OTHERS = "(others)"
MIN_LABELLED_ROWS = 30


@dataclass(frozen=True)
class ColumnProfile:
    """
    Profile of one column.

    Attributes
    ----------
    nulls : float
        Share of nulls in the sample.
    distinct : int
        Number of distinct values in the sample.
    summary : str
        Least, median and greatest value, or the most frequent values; masked if the column is personal.
    nulls_over_time : pandas.Series
        Share of nulls by partition.
    over_time : pandas.DataFrame or None
        By partition: the `QUANTILES` of a number, or the share of each frequent value. None for personal
        columns, moments and columns without values.
    correlations : mapping of str to float
        By use case: correlation with its label, between -1 and 1.
    """

    column: Column
    nulls: float
    distinct: int
    summary: str
    nulls_over_time: pd.Series = field(repr=False)
    over_time: pd.DataFrame | None = field(repr=False)
    correlations: Mapping[str, float]


def profile_columns(
    columns: Sequence[Column], sample: TableSample, correlations: Mapping[str, Mapping[str, float]]
) -> list[ColumnProfile]:
    """Return the profile of each declared column that the table has; `correlations` are by use case."""
    profiles = []
    for column in columns:
        if column.name not in sample.frame.columns:
            continue
        values = sample.frame[column.name]
        of_column = {
            name: by_column[column.name]
            for name, by_column in correlations.items()
            if column.name in by_column
        }
        profiles.append(
            ColumnProfile(
                column=column,
                nulls=float(values.isna().mean()),
                distinct=int(values.nunique()),
                summary=MASK if column.personal else _summarise(column, values),
                nulls_over_time=values.isna().groupby(sample.names).mean(),
                over_time=None if column.personal else _over_time(column, values, sample.names),
                correlations=of_column,
            )
        )
    return profiles


def label_correlations(
    declared: Catalog, lake: Lake, table: Dataset | FeatureView, sample: TableSample
) -> dict[str, dict[str, float]]:
    """
    Return, by use case, the correlation of each column with its label.

    Rows and labels are joined by the key of the table and the day. A use case whose labels do not have these
    columns, or of which fewer than `MIN_LABELLED_ROWS` rows have a label, is left out.

    Returns
    -------
    dict
        Spearman's correlation of numbers and booleans, the correlation ratio of text (0 to 1).
    """
    correlations = {}
    for name in _use_cases_of(declared, table):
        use_case = declared.use_cases[name]
        if use_case.label.is_absent:
            continue
        labelled = _with_target(lake, table, use_case, sample)
        if labelled is None or len(labelled) < MIN_LABELLED_ROWS:
            continue
        excluded = {*_key_of(table), use_case.label.column if table.name == use_case.label.dataset else ""}
        columns = [column for column in table.columns if column.name not in excluded]
        measured = {column.name: _correlation(column, labelled) for column in columns}
        correlations[name] = {column: value for column, value in measured.items() if value is not None}
    return correlations


def _use_cases_of(declared: Catalog, table: Dataset | FeatureView) -> list[str]:
    if table.name in declared.feature_views:
        return usage.use_cases_of_view(declared, table.name)
    return usage.use_cases_of_dataset(declared, table.name)


def _key_of(table: Dataset | FeatureView) -> list[str]:
    return list(table.key) if isinstance(table, Dataset) else usage.entity_columns(table)


def _with_target(
    lake: Lake, table: Dataset | FeatureView, use_case: UseCase, sample: TableSample
) -> pd.DataFrame | None:
    """Return the rows with a label and its `_target`; None if labels and rows cannot be joined."""
    label = use_case.label
    if table.name != label.dataset:
        rows = _rows_with_label(lake, label, [*_key_of(table), DAY], sample)
    elif label.column in sample.frame:
        rows = sample.frame.assign(_label=sample.frame[label.column])
    else:
        rows = None
    if rows is None:
        return None
    target = encode(label, rows["_label"])
    return rows.assign(_target=target)[target.notna()]


def _rows_with_label(lake: Lake, label: Label, key: list[str], sample: TableSample) -> pd.DataFrame | None:
    """Return the rows of the sample that have a label, with it as `_label`; None if they lack the key."""
    sampled = set(sample.frame[DAY])
    days = [day for day in lake.days(label.dataset) if str(day) in sampled]
    labels = lake.read(label.dataset, days) if days else None
    if labels is None or not {*key, label.column} <= set(labels.columns):
        return None
    labels = labels[[*key, label.column]].rename(columns={label.column: "_label"})
    return sample.frame.merge(labels.drop_duplicates(key), on=key)


def _correlation(column: Column, rows: pd.DataFrame) -> float | None:
    """Return the correlation of a column with `_target`; None without two different values of both."""
    if column.name not in rows or column.dtype == "timestamp" or column.personal:
        return None
    used = rows[[column.name, "_target"]].dropna()
    if used[column.name].nunique() < 2 or used["_target"].nunique() < 2:
        return None
    if column.dtype == "string":
        value = _correlation_ratio(used[column.name], used["_target"])
    else:
        numbers = used[column.name].astype("float64")
        value = float(numbers.rank().corr(used["_target"].rank()))
    return value if math.isfinite(value) else None


def _correlation_ratio(groups: pd.Series, target: pd.Series) -> float:
    """Return the correlation ratio eta (Pearson 1905): root of the share of variance between groups."""
    means = target.groupby(groups).transform("mean")
    return float(math.sqrt(((means - target.mean()) ** 2).sum() / ((target - target.mean()) ** 2).sum()))


def _summarise(column: Column, values: pd.Series) -> str:
    present = values.dropna()
    if present.empty:
        return "no values"
    if column.dtype in NUMERIC:
        return f"{present.min():g} … {present.median():g} … {present.max():g}"
    if column.dtype == "timestamp":
        return f"{present.min():%Y-%m-%d %H:%M} … {present.max():%Y-%m-%d %H:%M}"
    shares = present.astype(str).value_counts(normalize=True).head(MAX_CATEGORIES)
    return ", ".join(f"{str(value)[:MAX_SHOWN]} {share:.0%}" for value, share in shares.items())


def _over_time(column: Column, values: pd.Series, names: pd.Series) -> pd.DataFrame | None:
    if column.dtype == "timestamp" or not values.notna().any():
        return None
    if column.dtype in NUMERIC:
        numbers: Any = values.astype("float64").groupby(names)
        quantiles: pd.DataFrame = numbers.quantile(list(QUANTILES)).unstack()
        return quantiles
    texts = values.dropna().astype(str)
    frequent = list(texts.value_counts().index[:MAX_CATEGORIES])
    # Every row has its own value, as an id does: shares say nothing.
    if texts.nunique() == len(texts) and len(texts) > MAX_CATEGORIES:
        return None
    grouped = texts.where(texts.isin(frequent), OTHERS)
    counted: Any = grouped.groupby(names[texts.index]).value_counts(normalize=True)
    shares: pd.DataFrame = counted.unstack(fill_value=0.0)
    order = [name for name in (*frequent, OTHERS) if name in shares.columns]
    ordered: pd.DataFrame = shares[order]
    return ordered
