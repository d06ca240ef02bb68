"""Formats of files with rows: CSV, JSON lines and Parquet."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from include.data.reading.raw import escape
from include.data.reading.spelling import Spelling
from include.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa

    from include.declarations import Column, Dataset, FileSource, HttpSource

# Delimiters that a file of one column may have instead of the declared one.
_DELIMITERS = ",;\t|"


class Unreadable(Exception):
    """A file is not what is declared; the message continues the name of the file with the reason."""


@dataclass(frozen=True, slots=True)
class Block:
    """
    A part of a file.

    Parameters
    ----------
    table
        Rows as `Extract.table` has them, without partition columns.
    undeclared
        Names in the file that are not declared.
    """

    table: pa.Table = field(repr=False)
    undeclared: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """The columns that a file must have, and how it writes them."""

    columns: tuple[Column, ...]
    source: FileSource | HttpSource

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return [column.name for column in self.columns]

    @cached_property
    def spelling(self) -> Spelling:
        """How the file writes numbers and moments."""
        source = self.source
        return Spelling(source.time_zone, source.time_format, source.decimal, source.thousands)

    @cached_property
    def names_in_file(self) -> Mapping[str, str]:
        """Name in the file of each column."""
        in_file = {column: name for name, column in self.source.rename.items()}
        return {name: in_file.get(name, name) for name in self.names}

    def undeclared(self, names: list[str]) -> tuple[str, ...]:
        """
        Return those of the names in a file that are not declared.

        Raises
        ------
        Unreadable
            If a declared column is not among them exactly once.
        """
        declared = self.names_in_file.values()
        missing = [name for name in declared if name not in names]
        if missing:
            existing = escape(", ".join(names))
            raise Unreadable(f"lacks {', '.join(missing)}; it has {existing}{self._hint(names)}")
        repeated = sorted({name for name in declared if names.count(name) > 1})
        if repeated:
            raise Unreadable(f"has {', '.join(repeated)} twice")
        return tuple(escape(name) for name in dict.fromkeys(names) if name not in declared)

    def _hint(self, names: list[str]) -> str:
        """Return a note for a CSV file whose only column contains another delimiter."""
        if self.source.format != "csv" or len(names) != 1:
            return ""
        declared = self.source.delimiter
        for delimiter in _DELIMITERS:
            if delimiter != declared and delimiter in names[0]:
                return f". Its delimiter seems to be {delimiter!r}, declared is {declared!r}"
        return ""


@contextmanager
def translate_unreadable(dataset: Dataset, location: str) -> Iterator[None]:
    """
    Translate `Unreadable` into an error that names the location and the remedy.

    Raises
    ------
    DataError
        If the content at `location` is not what is declared.
    """
    try:
        yield
    except Unreadable as error:
        raise DataError(
            f"{location} {error}. Have it sent again, or correct the declaration of {dataset.name}; "
            "then clear this task."
        ) from error
