"""Rows of two samples counted by value, from which all distances are calculated."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from include.monitoring.comparable_columns import NUMERIC_TYPES, to_categories, usable_numbers

if TYPE_CHECKING:
    import numpy.typing as npt

    from include.declarations import Column

    Numbers = npt.NDArray[np.float64]
    Integers = npt.NDArray[np.int64]

# Of more rows, numbers are counted in buckets.
MAX_EXACT_ROWS = 200_000
# Of which the middle of the buckets is the median; it need not be exact.
CENTRE_ROWS = 10_000
# A bucket has the sign, the exponent and 9 of the 23 bits of the mantissa of a float32.
DROPPED_BITS = 14
N_BUCKETS = 1 << (32 - DROPPED_BITS)
MAX_INT32 = np.int32(0x7FFFFFFF)
# Rows that are converted at once, so that the intermediate arrays stay in the processor's cache.
CHUNK_ROWS = 1 << 16


class NumberCounts(NamedTuple):
    """
    Numbers of two samples.

    Attributes
    ----------
    values : array of float, shape (k,)
        Distinct values, ascending; of more than 200,000 rows, the centres of buckets.
    reference, current : array of int, shape (k,)
        Rows with each value.
    deviation : float
        Standard deviation of the reference.
    """

    values: Numbers
    reference: Integers
    current: Integers
    deviation: float


class CategoryCounts(NamedTuple):
    """Categories (k,) of two samples, and the rows of each sample that have them, (k,)."""

    categories: npt.NDArray[np.object_]
    reference: Integers
    current: Integers


class Sides(NamedTuple):
    """One column of two samples: counts of its usable values, and the numbers of unusable ones and rows."""

    counts: NumberCounts | CategoryCounts
    unusable: tuple[int, int]
    rows: tuple[int, int]


def count_column(reference: pd.Series, current: pd.Series, column: Column) -> Sides:
    """
    Count the values of one column of two samples, (n,) and (m,).

    Values that are missing, infinite or of another type than declared are unusable.
    """
    counts: NumberCounts | CategoryCounts
    if column.dtype in NUMERIC_TYPES:
        counts = _count_numbers(reference, current)
    else:
        counts = _count_categories(reference, current, column)
    unusable = (len(reference) - int(counts.reference.sum()), len(current) - int(counts.current.sum()))
    return Sides(counts, unusable, (len(reference), len(current)))


def _count_numbers(reference: pd.Series, current: pd.Series) -> NumberCounts:
    old = usable_numbers(reference)
    new = usable_numbers(current)
    deviation = float(np.std(old)) if len(old) else 0.0
    if len(old) + len(new) <= MAX_EXACT_ROWS:
        values, codes = np.unique(np.concatenate([old, new]), return_inverse=True)
        return NumberCounts(
            values, *_count_codes(codes[: len(old)], codes[len(old) :], len(values)), deviation
        )
    centre = float(np.median(old[:: 1 + len(old) // CENTRE_ROWS])) if len(old) else 0.0
    counts = (_count_buckets(old, centre), _count_buckets(new, centre))
    used = np.flatnonzero(counts[0] + counts[1])
    values = _bucket_values(used) + centre
    return NumberCounts(values, counts[0][used], counts[1][used], deviation)


def _count_buckets(numbers: Numbers, centre: float) -> Integers:
    """
    Return the rows of each bucket of `numbers - centre`, shape (N_BUCKETS,).

    The bits of a float ascend with it if those of negative ones are turned over. A bucket is narrower than
    1/512 of its distance from the centre.
    """
    counts = np.zeros(N_BUCKETS, dtype=np.int64)
    for start in range(0, len(numbers), CHUNK_ROWS):
        # Adding 0.0 makes -0.0 the same as 0.0.
        deviations = (numbers[start : start + CHUNK_ROWS] - centre + 0.0).astype(np.float32)
        bits = deviations.view(np.int32)
        bits ^= (bits >> np.int32(31)) & MAX_INT32
        bits >>= np.int32(DROPPED_BITS)
        bits += np.int32(N_BUCKETS // 2)
        low = int(bits.min())
        counted = np.bincount(bits - np.int32(low))
        counts[low : low + len(counted)] += counted
    return counts


def _bucket_values(buckets: Integers) -> Numbers:
    """Return the deviation of the middle of each bucket."""
    bits = ((buckets - N_BUCKETS // 2).astype(np.int32) << np.int32(DROPPED_BITS)) | np.int32(
        1 << (DROPPED_BITS - 1)
    )
    bits ^= (bits >> np.int32(31)) & MAX_INT32
    return bits.view(np.float32).astype(np.float64)


def _count_categories(reference: pd.Series, current: pd.Series, column: Column) -> CategoryCounts:
    old = _category_counts(reference, column)
    new = _category_counts(current, column)
    categories = old.index.union(new.index, sort=True)
    rows = [side.reindex(categories, fill_value=0).to_numpy(dtype=np.int64) for side in (old, new)]
    return CategoryCounts(categories.to_numpy(dtype=object), *rows)


def _category_counts(values: pd.Series, column: Column) -> pd.Series:
    """Return the rows of each category, by its text."""
    try:
        codes, uniques = pd.factorize(values)
    except TypeError:
        # Lists and mappings cannot be hashed.
        return to_categories(values, column).value_counts()
    rows = np.bincount(codes[codes >= 0], minlength=len(uniques))
    texts = to_categories(pd.Series(uniques), column).to_numpy(dtype=object)
    return pd.Series(rows, index=pd.Index(texts, dtype=object)).groupby(level=0).sum()


def _count_codes(old: Integers, new: Integers, n_codes: int) -> tuple[Integers, Integers]:
    return np.bincount(old, minlength=n_codes), np.bincount(new, minlength=n_codes)
