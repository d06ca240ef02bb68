"""Where a dataset comes from."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from include.declarations.base import Declaration, Duration

Format = Literal["csv", "jsonl", "parquet"]
Path = Annotated[str, Field(pattern=r"^[^\s]*\{partition\}[^\s]*$")]


class FileSource(Declaration):
    """
    Files that land below the landing folder or bucket, one per partition; `.gz` at the end means gzip.

    `{partition}` in `path` is the day as YYYY-MM-DD, or the hour as YYYY-MM-DDTHH.
    """

    kind: Literal["file"] = "file"
    path: Path
    format: Format = "csv"
    delimiter: str = Field(default=",", min_length=1, max_length=1)


class PostgresSource(Declaration):
    """
    A query that returns the rows of one partition, from `:start` to before `:end` (moments in UTC).

    With `watermark`, a column of the query that grows with every change, a run also takes again the earlier
    partitions in which rows changed since the last one. A change is looked at once it is older than `settle`:
    choose more than the longest transaction upstream lasts, since one begun earlier may be committed later.
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
            raise ValueError(f"query: it has no {' and no '.join(lacking)}, so it is not of one partition")
        return self


class HttpSource(Declaration):
    """A service that answers `GET <path>` with the file of a partition, and 404 until there is one."""

    kind: Literal["http"] = "http"
    conn_id: str = Field(min_length=1)
    path: Path
    format: Format = "jsonl"
    delimiter: str = Field(default=",", min_length=1, max_length=1)


AnySource = Annotated[FileSource | PostgresSource | HttpSource, Field(discriminator="kind")]
