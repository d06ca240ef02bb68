"""Tables to start from: a CSV file with its dialect, a Parquet file, or a table or query of PostgreSQL."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from include.errors import DataError, ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable

DELIMITERS = (",", ";", "\t", "|")
# They mean null in any column; the others only among numbers.
NULL_MARKERS = ("NA", "N/A", "#N/A", "NULL", "null", "?")
NUMERIC_NULL_MARKERS = (*NULL_MARKERS, "-", "None", "none", "nan", "NaN", "missing")
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
DECIMAL_POINT = re.compile(r"[+-]?\d*\.\d+")
NUMERIC = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")
MIN_NUMERIC_SHARE = 0.5
POSTGRES = ("postgresql://", "postgres://", "postgresql+psycopg2://")
CONNECT_TIMEOUT_S = 10
MAX_NAME_LENGTH = 60
SUFFIXES = {".csv": "csv", ".tsv": "csv", ".txt": "csv", ".parquet": "parquet", ".pq": "parquet"}


@dataclass(frozen=True)
class SourceTable:
    """
    A table as it was read.

    Attributes
    ----------
    name
        Name that follows from the file or table.
    frame
        Its rows under normalized names: texts for CSV, values with types otherwise.
    format
        How partitions of it are written.
    rename
        Normalized names by those in the file, where they differ.
    nulls, delimiter, decimal
        Dialect of CSV.
    path
        File that it was read from; None for a database.
    """

    name: str
    frame: pd.DataFrame
    format: Literal["csv", "parquet"]
    rename: dict[str, str]
    nulls: tuple[str, ...] = ()
    delimiter: str = ","
    decimal: str = "."
    path: Path | None = None


def read_source_table(source: str, *, table: str | None = None, query: str | None = None) -> SourceTable:
    """
    Read a CSV or Parquet file, or a table or query of a PostgreSQL address.

    Raises
    ------
    DataError
        If it cannot be read, or has no rows; the message says what to do.
    ServiceUnavailable
        If the database does not answer.
    """
    if source.startswith(POSTGRES):
        read = _read_database(source, table, query)
    else:
        path = Path(source).expanduser()
        if not path.is_file():
            raise DataError(f"{source}: there is no such file. Give a CSV or Parquet file, or postgresql://…")
        kind = SUFFIXES.get(path.suffix.lower())
        if kind is None:
            raise DataError(
                f"{source}: its name ends with none of {', '.join(SUFFIXES)}. Convert it, or rename it."
            )
        read = _read_csv(path) if kind == "csv" else _read_parquet(path)
    if read.frame.empty:
        raise DataError(f"{source}: there are no rows to look at.")
    return read


def normalized_name(text: str, *, fallback: str = "column") -> str:
    """Return a text as the name of a column or declaration: lower case, letters, digits and underscores."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text.strip())
    name = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")[:MAX_NAME_LENGTH]
    if not name:
        return fallback
    return name if name[0].isalpha() else f"c_{name}"


def _renamed(names: Iterable[str]) -> dict[str, str]:
    renamed: dict[str, str] = {}
    for name in names:
        base = normalized_name(name)
        candidate = base
        number = 2
        while candidate in renamed.values():
            candidate = f"{base}_{number}"
            number += 1
        renamed[name] = candidate
    return renamed


def _read_csv(path: Path) -> SourceTable:
    text = path.read_bytes()
    try:
        header = text.decode("utf-8-sig").splitlines()[:1]
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: byte {error.start} is not UTF-8. Convert the file: `iconv -f latin1 -t utf8`."
        ) from error
    delimiter = max(DELIMITERS, key=lambda mark: header[0].count(mark) if header else 0)
    try:
        frame = pd.read_csv(
            path, sep=delimiter, dtype=str, keep_default_na=False, encoding="utf-8-sig", index_col=False
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DataError(f"{path}: {error}. Correct the line, and start again.") from error
    names = _renamed(map(str, frame.columns))
    frame.columns = pd.Index(names.values())
    nulls = _null_markers(frame)
    decimal = _decimal_mark(frame, delimiter)
    frame = frame.mask(frame.isin(["", *nulls]))
    changed = {old: new for old, new in names.items() if old != new}
    return SourceTable(normalized_name(path.stem), frame, "csv", changed, nulls, delimiter, decimal, path)


def _null_markers(frame: pd.DataFrame) -> tuple[str, ...]:
    """Return the markers of null in the texts of a file."""
    markers: set[str] = set()
    for name in frame:
        counts = frame[name].value_counts()
        counts = counts[counts.index != ""]
        numeric = counts[[NUMERIC.fullmatch(value) is not None for value in counts.index]].sum()
        is_numeric = numeric > MIN_NUMERIC_SHARE * counts.sum()
        candidates = NUMERIC_NULL_MARKERS if is_numeric else NULL_MARKERS
        markers.update(marker for marker in candidates if marker in counts.index)
    return tuple(sorted(markers))


def _decimal_mark(frame: pd.DataFrame, delimiter: str) -> str:
    if delimiter == ",":
        return "."
    values = pd.Series(frame.to_numpy().ravel())
    commas = values.map(lambda value: DECIMAL_COMMA.fullmatch(value) is not None).sum()
    points = values.map(lambda value: DECIMAL_POINT.fullmatch(value) is not None).sum()
    return "," if commas > points else "."


def _read_parquet(path: Path) -> SourceTable:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path}: it is no Parquet file: {error}") from error
    return _typed_table(normalized_name(path.stem), table.to_pandas(ignore_metadata=True), path)


def _read_database(url: str, table: str | None, query: str | None) -> SourceTable:
    from sqlalchemy import MetaData, Table, create_engine, make_url, select, text
    from sqlalchemy.exc import NoSuchTableError, OperationalError, ProgrammingError

    if (table is None) == (query is None):
        raise DataError("A database needs --table NAME or --query 'SELECT …', one of them.")
    address = make_url(url.replace("postgres://", "postgresql://", 1)).set(drivername="postgresql+psycopg2")
    engine = create_engine(address, connect_args={"connect_timeout": CONNECT_TIMEOUT_S})
    try:
        with engine.connect().execution_options(postgresql_readonly=True) as connection:
            if table is None:
                frame = pd.read_sql(text(query or ""), connection)
            else:
                schema, _, name = table.rpartition(".")
                declared = Table(name, MetaData(), schema=schema or None, autoload_with=connection)
                frame = pd.read_sql(select(declared), connection)
    except OperationalError as error:
        raise ServiceUnavailable(f"{address.host}: the database does not answer: {error.orig}") from error
    except (NoSuchTableError, ProgrammingError) as error:
        raise DataError(f"{table or query}: {getattr(error, 'orig', error)}") from error
    finally:
        engine.dispose()
    return _typed_table(normalized_name((table or "query").rpartition(".")[2]), frame, None)


def _typed_table(name: str, frame: pd.DataFrame, path: Path | None) -> SourceTable:
    names = _renamed(map(str, frame.columns))
    frame = frame.set_axis(pd.Index(names.values()), axis=1)
    changed = {old: new for old, new in names.items() if old != new}
    return SourceTable(name, frame, "parquet", changed, path=path)


def is_text(values: pd.Series[Any]) -> bool:
    """Return whether a column holds texts, and nothing else beside nulls."""
    present = values.dropna()
    return values.dtype == object and bool(present.map(lambda value: isinstance(value, str)).all())
