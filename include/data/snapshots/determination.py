"""Determination: features that hold the label of their own row, found in the rows of a snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from include.data.snapshots.target_encoding import RAW_LABEL, TARGET
from include.errors import DataError

if TYPE_CHECKING:
    import numpy.typing as npt

    from include.declarations import UseCase

    Values = npt.NDArray[np.float64]

# Rows that are looked at, evenly spaced over the snapshot; a least squares fit takes fewer.
MAX_ROWS = 200_000
MAX_FITTED_ROWS = 20_000
# A value with fewer rows may have one label by chance, or identify an entity: it is no evidence.
MIN_ROWS_PER_VALUE = 10
# Rows whose label is not the most frequent one. A feature that is wrong about a tenth of such rows is right
# about this many in a row with a probability of 0.9^100, below 3 in 100,000.
MIN_RARER_ROWS = 100
MAX_RESIDUAL = 1e-9
# Rows per coefficient, so that a fit cannot be exact because it is free to be.
MIN_ROWS_PER_COEFFICIENT = 20


@dataclass(frozen=True, slots=True)
class Determinant:
    """Features that give the label of their row, how they do, and the number of rows that show it."""

    features: tuple[str, ...]
    relation: str
    rows: int

    def __str__(self) -> str:
        return f"{' and '.join(self.features)} {self.relation} ({self.rows:,} rows)"


def require_undetermined(use_case: UseCase, frame: pd.DataFrame) -> None:
    """
    Raise DataError if features hold the label.

    The message names the features, the label, the rows that show it, and the remedy.
    """
    determinants = find_determinants(use_case, frame)
    if determinants:
        raise DataError(
            f"{use_case.name}: {describe_determinants(use_case, determinants, len(sample_rows(frame)))}"
        )


def describe_determinants(use_case: UseCase, determinants: tuple[Determinant, ...], n_rows: int) -> str:
    """Return what was found in `n_rows` rows, and the remedy."""
    return (
        f"the label {use_case.label.description} is known from the features: "
        f"{'; '.join(map(str, determinants))}, of {n_rows:,} rows that were looked at. Such a feature is the "
        "label, or was made from it, and callers do not know it before the event: remove it from `features`. "
        "If it is known in time, declare it with the reason in `allowed_determinants` of the use case."
    )


def find_determinants(use_case: UseCase, frame: pd.DataFrame) -> tuple[Determinant, ...]:
    """
    Return the features that equal or determine the label, alone or as a linear combination of numbers.

    There are none without a label.

    Parameters
    ----------
    use_case
        Its features are looked at, but those of `allowed_determinants`.
    frame
        Rows of a snapshot: features, `TARGET` and, of a number that is divided into classes, `RAW_LABEL`.
    """
    if use_case.label.is_absent:
        return ()
    rows = sample_rows(frame)
    labels = {name: rows[name] for name in (RAW_LABEL, TARGET) if name in rows}
    features = [name for name in use_case.features if name not in use_case.allowed_determinants]
    determinants = []
    for name in features:
        determinant = _judge_alone(name, rows[name], labels)
        if determinant is not None:
            determinants.append(determinant)
    single = {determinant.features[0] for determinant in determinants}
    numbers = [name for name in features if name not in single and pd.api.types.is_numeric_dtype(rows[name])]
    combination = _find_combination(rows[numbers], next(iter(labels.values())))
    return (*determinants, combination) if combination else tuple(determinants)


def sample_rows(frame: pd.DataFrame, size: int = MAX_ROWS) -> pd.DataFrame:
    """Return at most `size` rows, evenly spaced."""
    if len(frame) <= size:
        return frame
    return frame.iloc[np.linspace(0, len(frame) - 1, size).astype(int)]


def _judge_alone(name: str, feature: pd.Series[Any], labels: dict[str, pd.Series[Any]]) -> Determinant | None:
    """Return how the feature alone gives the label; the number comes before the classes that divide it."""
    for label in labels.values():
        if _is_equal(feature, label):
            return Determinant(
                (name,), "equals the label wherever it is not null", int(feature.notna().sum())
            )
    return _find_dependency(name, feature, labels[TARGET])


def _is_equal(feature: pd.Series[Any], label: pd.Series[Any]) -> bool:
    present = feature.notna() & label.notna()
    if not pd.api.types.is_numeric_dtype(feature) or not present.any():
        return False
    values = label[present].to_numpy(dtype=np.float64)
    if _n_rarer(values) < MIN_RARER_ROWS:
        return False
    return bool(np.array_equal(feature[present].to_numpy(dtype=np.float64), values))


def _find_dependency(name: str, feature: pd.Series[Any], label: pd.Series[Any]) -> Determinant | None:
    """
    Return the dependency of the label on the feature: each value of the feature has one label.

    Nulls are one more value; if only they have several labels, the rows with a value are judged.
    """
    codes, distinct = pd.factorize(feature, use_na_sentinel=False)
    values = label.to_numpy(dtype=np.float64)
    first = np.full(len(distinct), np.nan)
    # Of repeated positions numpy keeps the last one: any row of the value will do.
    first[codes] = values
    conflicts = values != first[codes]
    if conflicts.any():
        is_null = feature.isna().to_numpy()
        if (conflicts & ~is_null).any():
            return None
        codes = codes[~is_null]
        values = values[~is_null]
    per_value = np.bincount(codes, minlength=len(distinct))
    repeated = per_value[codes] >= MIN_ROWS_PER_VALUE
    if _n_rarer(values[repeated]) >= MIN_RARER_ROWS:
        n_values = int((per_value >= MIN_ROWS_PER_VALUE).sum())
        relation = f"determines it: each of {n_values:,} values has rows of one label only"
        return Determinant((name,), relation, int(repeated.sum()))
    if pd.api.types.is_numeric_dtype(feature) and _are_divided(distinct, first):
        return Determinant((name,), "determines it: bounds of the feature divide the labels", len(values))
    return None


def _are_divided(distinct: Any, labels: Values) -> bool:
    """Return whether two or more labels, of many values each, are ranges of the distinct values."""
    numbers = pd.Series(distinct).to_numpy(dtype=np.float64, na_value=np.nan)
    present = ~np.isnan(numbers)
    ordered = labels[present][np.argsort(numbers[present])]
    _, counts = np.unique(ordered, return_counts=True)
    n_ranges = 1 + int((np.diff(ordered) != 0).sum())
    return len(counts) > 1 and n_ranges == len(counts) and int(counts.min()) >= MIN_RARER_ROWS


def _n_rarer(labels: Values) -> int:
    """Return the number of rows that do not have the most frequent label."""
    if not len(labels):
        return 0
    _, counts = np.unique(labels, return_counts=True)
    return int(counts.sum() - counts.max())


def _find_combination(features: pd.DataFrame, label: pd.Series[Any]) -> Determinant | None:
    """Return the numbers of which a linear combination is the label, by least squares on complete rows."""
    rows = sample_rows(features.assign(**{TARGET: label}), MAX_FITTED_ROWS).astype(np.float64)
    # A column that is mostly null would leave no complete rows.
    rows = rows.loc[:, rows.isna().mean() < 0.5].dropna()
    if TARGET not in rows:
        return None
    values = rows.pop(TARGET).to_numpy()
    matrix = rows.to_numpy()
    varies = matrix.std(axis=0) > 0 if len(matrix) else np.zeros(matrix.shape[1], dtype=bool)
    names = [name for name, changes in zip(rows.columns, varies, strict=True) if changes]
    is_enough = len(values) >= MIN_ROWS_PER_COEFFICIENT * (len(names) + 1)
    if not names or not is_enough or _n_rarer(values) < MIN_RARER_ROWS:
        return None
    matrix = matrix[:, varies]
    matrix = (matrix - matrix.mean(axis=0)) / matrix.std(axis=0)
    centred = values - values.mean()
    if _residual(matrix, centred) >= MAX_RESIDUAL:
        return None
    needed = _needed_columns(matrix, centred)
    relation = "as a linear combination give it exactly" if len(needed) > 1 else "times a constant is it"
    return Determinant(tuple(names[column] for column in needed), relation, len(values))


def _needed_columns(matrix: Values, centred: Values) -> list[int]:
    """Return the columns without which the combination is not exact."""
    needed = list(range(matrix.shape[1]))
    for column in range(matrix.shape[1]):
        others = [other for other in needed if other != column]
        if others and _residual(matrix[:, others], centred) < MAX_RESIDUAL:
            needed = others
    return needed


def _residual(matrix: Values, centred: Values) -> float:
    """Return the norm of the residual of the least squares fit, as a share of the norm of `centred`."""
    coefficients = np.linalg.lstsq(matrix, centred, rcond=None)[0]
    return float(np.linalg.norm(centred - matrix @ coefficients) / np.linalg.norm(centred))
