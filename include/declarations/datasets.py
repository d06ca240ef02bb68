"""What a team declares of a table that arrives in partitions."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Literal, Self

from pydantic import Field, model_validator

from include.declarations.base import (
    Declaration,
    Duration,
    Name,
    Severity,
    Share,
    require_known,
    require_unique,
)
from include.declarations.columns import Column
from include.declarations.sources import AnySource, PostgresSource


class Freshness(Declaration):
    """The newest moment in `column` is at most `within` older than the end of the partition."""

    column: str
    within: Duration
    severity: Severity = "critical"


class Stability(Declaration):
    """
    A partition resembles the `partitions` before it.

    It has at least `volume[0]` and at most `volume[1]` times their median number of rows, and the population
    stability index of each of `columns` against their rows is at most `maximum_psi`. With fewer than
    `minimum_partitions` before it there is nothing to compare with, which the report says.
    """

    partitions: int = Field(default=28, ge=1, le=366)
    minimum_partitions: int = Field(default=7, ge=1)
    volume: tuple[float, float] | None = (0.6, 1.6)
    columns: tuple[str, ...] = ()
    maximum_psi: float = Field(default=0.25, gt=0)
    severity: Severity = "critical"

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        require_unique(self.columns, "columns")
        if self.volume and not 0 <= self.volume[0] <= 1 <= self.volume[1]:
            raise ValueError(f"volume {self.volume} must enclose 1, the usual number of rows")
        if self.minimum_partitions > self.partitions:
            raise ValueError(f"minimum_partitions {self.minimum_partitions} is above {self.partitions}")
        return self


class Dataset(Declaration):
    """
    A table that arrives in partitions, one of each `granularity`: day or hour (in UTC).

    `lag_days` is how long after its day a partition lands; `volume` bounds its rows;
    more than `quarantine_limit` of its rows refused refuses the partition.
    A row is known from the moment in its column `known_at`, else from its partition's start plus the lag.
    """

    name: Name
    owner: str
    description: str
    source: AnySource
    columns: tuple[Column, ...] = Field(min_length=1)
    key: tuple[str, ...] = Field(min_length=1)
    first_partition: date
    last_partition: date | None = None
    granularity: Literal["day", "hour"] = "day"
    lag_days: int = Field(default=0, ge=0)
    known_at: str | None = None
    volume: tuple[int, int] = (1, 10_000_000)
    quarantine_limit: Share = 0.01
    freshness: Freshness | None = None
    stability: Stability | None = None
    landing_timeout: Duration = timedelta(hours=6)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        require_unique([column.name for column in self.columns], "columns")
        names = {column.name for column in self.columns}
        require_known(self.key, names, "key")
        if taken := names & ({"day", "hour"} if self.granularity == "hour" else {"day"}):
            raise ValueError(f"columns: {', '.join(sorted(taken))} is where the partition's own name stands")
        moments = {column.name for column in self.columns if column.dtype == "timestamp"}
        require_known([self.known_at] if self.known_at else [], moments, "known_at")
        require_known([self.freshness.column] if self.freshness else [], moments, "freshness.column")
        require_known(self.stability.columns if self.stability else [], names, "usual.columns")
        if self.volume[0] > self.volume[1]:
            raise ValueError(f"volume: the lower bound {self.volume[0]} is above the upper {self.volume[1]}")
        if self.last_partition and self.last_partition < self.first_partition:
            raise ValueError("last_partition is before first_partition")
        return self

    @property
    def watermark(self) -> str | None:
        """The column by which late changes are noticed; only a query has one."""
        return self.source.watermark if isinstance(self.source, PostgresSource) else None
