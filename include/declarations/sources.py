"""Sources of datasets: files, PostgreSQL queries and HTTP services."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from include.declarations.base import Declaration, Duration

Format = Literal["csv", "jsonl", "parquet"]
Path = Annotated[str, Field(pattern=r"^[^\s]*\{partition\}[^\s]*$")]


class FileSource(Declaration):
    """
    Files below the landing folder or bucket, one per partition; a path that ends with `.gz` is gzip.

    `{partition}` in `path` is the day as YYYY-MM-DD, or the hour as YYYY-MM-DDTHH.
    """

    kind: Literal["file"] = "file"
    path: Path
    format: Format = "csv"
    delimiter: str = Field(default=",", min_length=1, max_length=1)


class PostgresSource(Declaration):
    """
    A query that returns the rows of one partition: from `:start` (inclusive) to `:end` (exclusive), in UTC.

    `watermark` names a column of the query that grows with every change: a run then also reads again the
    earlier partitions in which rows changed since the last run. A change is read once it is older than
    `settle`, which must be longer than the longest transaction of the source, since transactions commit out
    of order.
    """

    kind: Literal["postgres"] = "postgres"
    conn_id: str = Field(min_length=1)
    query: str
    watermark: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    settle: Duration = timedelta(minutes=1)

    @model_validator(mode="after")
    def _is_of_one_partition(self) -> Self:
        lacking = [name for name in (":start", ":end") if name not in self.query]
        if lacking:
            raise ValueError(
                f"query: {' and '.join(lacking)} is missing; the query must select the rows of one partition"
            )
        return self


class HttpSource(Declaration):
    """A service that returns a partition's file for `GET <path>`, and 404 while there is none yet."""

    kind: Literal["http"] = "http"
    conn_id: str = Field(min_length=1)
    path: Path
    format: Format = "jsonl"
    delimiter: str = Field(default=",", min_length=1, max_length=1)


AnySource = Annotated[FileSource | PostgresSource | HttpSource, Field(discriminator="kind")]
