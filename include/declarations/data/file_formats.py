"""How files with rows are written: their format, and the dialect of CSV."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from include.declarations.base import Declaration, Name, TimeZone, require_unique

Format = Literal["csv", "jsonl", "parquet"]
# A letter that has one byte in UTF-8.
Letter = Annotated[str, Field(pattern=r"^[\x01-\x09\x0b\x0c\x0e-\x7f]$")]
PARTITION = "{partition}"
_CSV_FIELDS = {
    "delimiter",
    "quote",
    "escape",
    "multiline",
    "nulls",
    "decimal",
    "thousands",
    "time_format",
}


class FileFormat(Declaration):
    """
    How files with rows are written; all are encoded in UTF-8.

    `rename` maps names in the file to columns. A moment without a zone is in `time_zone`, and refused without
    it. The other fields are for CSV: a field that is empty or one of `nulls` is null. `quote` encloses values
    (with None a quotation mark is a letter); in them it is doubled, or follows `escape`. A line end belongs
    to a quoted value only with `multiline`. `decimal` and `thousands` are the marks in numbers, `time_format`
    is the format of moments as Python's `strptime` takes it, by default ISO 8601.

    With `split_by` one file, at a path without `{partition}`, has the rows of all partitions: this column
    says to which each row belongs, as a timestamp or as the text of a day, YYYY-MM-DD. A partition has landed
    when the file has a row of it, or of a later one.
    """

    path: Annotated[str, Field(pattern=r"^\S+$")]
    format: Format
    split_by: Name | None = None
    rename: Mapping[str, Name] = {}
    time_zone: TimeZone | None = None
    delimiter: Letter = ","
    quote: Letter | None = '"'
    escape: Letter | None = None
    multiline: bool = False
    nulls: tuple[str, ...] = ()
    decimal: Letter = "."
    thousands: Letter | None = None
    time_format: str | None = None

    @property
    def has_partitions(self) -> bool:
        """Whether a partition has a file, or rows of its own in one file."""
        return PARTITION in self.path or self.split_by is not None

    @model_validator(mode="after")
    def _has_one_way_to_partitions(self) -> Self:
        if self.split_by is not None and PARTITION in self.path:
            raise ValueError(f"split_by: one file of all partitions has no {PARTITION} in its path")
        return self

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        require_unique(self.rename.values(), "rename")
        if self.format != "csv":
            others = sorted(self.model_fields_set & _CSV_FIELDS)
            if others:
                raise ValueError(f"{', '.join(others)}: only for format csv, not {self.format}")
        marks = {"delimiter": self.delimiter, "quote": self.quote, "escape": self.escape}
        _require_distinct(marks)
        _require_distinct({"decimal": self.decimal, "thousands": self.thousands})
        for name in ("decimal", "thousands"):
            mark = getattr(self, name)
            if mark is not None and (mark.isalnum() or mark in "+-"):
                raise ValueError(f"{name}: {mark!r} may be part of a number")
        if self.time_format is not None and not _tells_days_apart(self.time_format):
            raise ValueError(f"time_format: {self.time_format!r} does not name year, month and day")
        if self.multiline and self.quote is None:
            raise ValueError("multiline: without a quote no value can have a line end")
        return self


def _require_distinct(marks: Mapping[str, str | None]) -> None:
    """Raise ValueError if two of the marks are the same."""
    names: dict[str, str] = {}
    for name, mark in marks.items():
        if mark is None:
            continue
        if mark in names:
            raise ValueError(f"{name}: {mark!r} is the {names[mark]} already")
        names[mark] = name


def _tells_days_apart(time_format: str) -> bool:
    """Return whether a format distinguishes any two days, and can be read again."""
    days = [
        datetime(2013, 1, 2, tzinfo=UTC),
        datetime(2012, 1, 2, tzinfo=UTC),
        datetime(2013, 2, 2, tzinfo=UTC),
    ]
    try:
        return all(
            datetime.strptime(day.strftime(time_format), time_format).date() == day.date() for day in days
        )
    except ValueError:
        return False
