"""Sources of datasets: files, queries of databases and HTTP services."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from include.declarations.base import Declaration, Duration, TimeZone
from include.declarations.data.file_formats import FileFormat, Format
from include.import_paths import import_class, require_constructor, require_method
from include.sql_tokens import PARAMETERS, RULES, Rules, parameters, single_statement, split_tokens

# Methods of a source of one's own, and their parameters.
_METHODS = {
    "location": ("dataset", "partition"),
    "missing": ("dataset", "partitions"),
    "read": ("dataset", "partition"),
}


class FileSource(FileFormat):
    """
    Files below the landing folder or bucket, one per partition; a path that ends with `.gz` is gzip.

    `{partition}` in `path` is the day as YYYY-MM-DD, or the hour as YYYY-MM-DDTHH; a dataset that is read
    `whole` has a path without it.
    """

    kind: Literal["file"] = "file"
    format: Format = "csv"


class DatabaseSource(Declaration):
    """
    A query that returns the rows of one partition: from `:start` (inclusive) to `:end` (exclusive).

    `conn_id` is an Airflow connection to PostgreSQL, or to any database whose SQLAlchemy dialect and driver
    are installed. Only `:start` and `:end` outside literals and comments are bind parameters; any other
    colon is passed on as it is. Moments without a time zone are refused, or are in `time_zone`.

    `watermark` names a column of the query that grows with every change: a run then also reads again the
    earlier partitions in which rows changed since the last run. A change is read once it is older than
    `settle`, which must be longer than the longest transaction of the source, since transactions commit out
    of order.
    """

    kind: Literal["database"] = "database"
    conn_id: str = Field(min_length=1)
    query: str
    watermark: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    settle: Duration = timedelta(minutes=1)
    time_zone: TimeZone | None = None

    @field_validator("query")
    @classmethod
    def _is_of_one_partition(cls, query: str) -> str:
        _require_single_statement(query)
        # Whose rules hold is known when the connection is, so here any will do.
        lacking = min((_missing_parameters(query, rules) for rules in RULES), key=len)
        if lacking:
            raise ValueError(
                f"there is no {' and no '.join(lacking)} outside literals and comments; the query must "
                "select the rows of one partition, such as `WHERE placed_at >= :start AND placed_at < :end`"
            )
        return query


def _require_single_statement(query: str) -> None:
    problems: list[ValueError] = []
    for rules in RULES:
        try:
            single_statement(query, rules)
        except ValueError as error:
            problems.append(error)
    if len(problems) == len(RULES):
        raise problems[0]


def _missing_parameters(query: str, rules: Rules) -> list[str]:
    existing = parameters(split_tokens(query, rules))
    return [f":{name}" for name in PARAMETERS if name not in existing]


class HttpSource(FileFormat):
    """A service that returns a partition's file for `GET <path>`, and 404 while there is none yet."""

    kind: Literal["http"] = "http"
    conn_id: str = Field(min_length=1)
    format: Format = "jsonl"


class CustomSource(Declaration):
    """
    A class of yours, `path="include.my.source:Source"`, that reads partitions.

    It is created with the keyword arguments `options`, and with `connection` if there is a `conn_id`. It has
    `location(dataset, partition)`, `missing(dataset, partitions)` and `read(dataset, partition)`.
    """

    kind: Literal["custom"] = "custom"
    path: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
    options: dict[str, Any] = Field(default_factory=dict)
    conn_id: str | None = Field(default=None, min_length=1)

    def require_usable(self) -> None:
        """Raise DeclarationError unless the class exists, with its methods and their parameters."""
        named = import_class(self.path, "source.path")
        arguments = {**self.options, **({"connection": None} if self.conn_id else {})}
        require_constructor(named, arguments, "source.options")
        for method, names in _METHODS.items():
            require_method(named, method, names, "source.path")


AnySource = Annotated[FileSource | DatabaseSource | HttpSource | CustomSource, Field(discriminator="kind")]
