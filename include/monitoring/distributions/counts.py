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


class ColumnCounter:
    """
    Counts one column of two samples: the reference (n,), and one that comes in parts.

    Values that are missing, infinite or of another type than declared are unusable. The memory does not
    depend on the rows, but of text on the number of distinct values.
    """

    def __init__(self, reference: pd.Series, column: Column) -> None:
        is_numeric = column.dtype in NUMERIC_TYPES
        self._values = _NumberCounter(reference) if is_numeric else _CategoryCounter(reference, column)
        self._rows = (len(reference), 0)

    def add(self, current: pd.Series) -> None:
        """Count further values of the second sample, (m,)."""
        self._values.add(current)
        self._rows = (self._rows[0], self._rows[1] + len(current))

    def sides(self) -> Sides:
        """Return the counts of what was added until now."""
        counts = self._values.counts()
        usable = (int(counts.reference.sum()), int(counts.current.sum()))
        return Sides(counts, (self._rows[0] - usable[0], self._rows[1] - usable[1]), self._rows)


def count_column(reference: pd.Series, current: pd.Series, column: Column) -> Sides:
    """Count the values of one column of two samples, (n,) and (m,), see `ColumnCounter`."""
    counter = ColumnCounter(reference, column)
    counter.add(current)
    return counter.sides()


class _NumberCounter:
    def __init__(self, reference: pd.Series) -> None:
        old = usable_numbers(reference)
        self._deviation = float(np.std(old)) if len(old) else 0.0
        self._centre = float(np.median(old[:: 1 + len(old) // CENTRE_ROWS])) if len(old) else 0.0
        self._n_numbers = 0
        # Numbers of both samples, until there are too many; then rows of each bucket.
        self._numbers: tuple[list[Numbers], list[Numbers]] = ([], [])
        self._buckets = np.zeros((2, N_BUCKETS), dtype=np.int64)
        self._append(0, old)

    def add(self, current: pd.Series) -> None:
        self._append(1, usable_numbers(current))

    def counts(self) -> NumberCounts:
        if self._n_numbers > MAX_EXACT_ROWS:
            used = np.flatnonzero(self._buckets.sum(axis=0))
            values = _bucket_values(used) + self._centre
            return NumberCounts(values, self._buckets[0, used], self._buckets[1, used], self._deviation)
        old, new = (np.concatenate([np.zeros(0), *parts]) for parts in self._numbers)
        values, codes = np.unique(np.concatenate([old, new]), return_inverse=True)
        counts = _count_codes(codes[: len(old)], codes[len(old) :], len(values))
        return NumberCounts(values, *counts, self._deviation)

    def _append(self, side: int, numbers: Numbers) -> None:
        self._numbers[side].append(numbers)
        self._n_numbers += len(numbers)
        if self._n_numbers <= MAX_EXACT_ROWS:
            return
        for counts, parts in zip(self._buckets, self._numbers, strict=True):
            for part in parts:
                _add_to_buckets(counts, part, self._centre)
            parts.clear()


class _CategoryCounter:
    def __init__(self, reference: pd.Series, column: Column) -> None:
        self._column = column
        self._old = _category_counts(reference, column)
        # Counts of parts; the first is that of all parts that were merged.
        self._new = [self._old.iloc[:0]]

    def add(self, current: pd.Series) -> None:
        self._new.append(_category_counts(current, self._column))
        if sum(map(len, self._new[1:])) > max(len(self._new[0]), MAX_EXACT_ROWS):
            self._new = [_merge_counts(self._new)]

    def counts(self) -> CategoryCounts:
        sides = (self._old, _merge_counts(self._new))
        categories = sides[0].index.union(sides[1].index, sort=True)
        rows = [side.reindex(categories, fill_value=0).to_numpy(dtype=np.int64) for side in sides]
        return CategoryCounts(categories.to_numpy(dtype=object), *rows)


def _add_to_buckets(counts: Integers, numbers: Numbers, centre: float) -> None:
    """
    Add the rows of each bucket of `numbers - centre` to `counts`, shape (N_BUCKETS,).

    The bits of a float ascend with it if those of negative ones are turned over. A bucket is narrower than
    1/512 of its distance from the centre.
    """
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


def _bucket_values(buckets: Integers) -> Numbers:
    """Return the deviation of the middle of each bucket."""
    bits = ((buckets - N_BUCKETS // 2).astype(np.int32) << np.int32(DROPPED_BITS)) | np.int32(
        1 << (DROPPED_BITS - 1)
    )
    bits ^= (bits >> np.int32(31)) & MAX_INT32
    return bits.view(np.float32).astype(np.float64)


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


def _merge_counts(parts: list[pd.Series]) -> pd.Series:
    merged: pd.Series = pd.concat(parts).groupby(level=0).sum()
    return merged


def _count_codes(old: Integers, new: Integers, n_codes: int) -> tuple[Integers, Integers]:
    return np.bincount(old, minlength=n_codes), np.bincount(new, minlength=n_codes)
