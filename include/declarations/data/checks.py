"""Checks of the partitions of a dataset or a feature view, beside those of its columns."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from include.declarations.base import (
    Declaration,
    Duration,
    Name,
    Severity,
    require_known,
    require_unique,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from include.declarations.data.columns import Column

Comparison = Literal["all", "same_weekday", "same_hour", "same_weekday_and_hour"]


class Freshness(Declaration):
    """The newest timestamp in `column` is at most `within` older than the end of the partition."""

    column: str
    within: Duration
    severity: Severity = "critical"


class Stability(Declaration):
    """
    A partition resembles the `partitions` before it, in number of rows and in distribution.

    Its number of rows lies between `volume[0]` and `volume[1]` times their median. The population stability
    index (PSI) of each of `columns` against their rows is at most `maximum_psi`. With fewer than
    `minimum_partitions` earlier partitions nothing is compared, and the report says so. `compare_with` is
    which of the earlier partitions count: all, or those of the same weekday, hour (UTC), or both.
    """

    partitions: int = Field(default=28, ge=1, le=366)
    minimum_partitions: int = Field(default=7, ge=1)
    volume: tuple[float, float] | None = (0.6, 1.6)
    columns: tuple[str, ...] = ()
    maximum_psi: float = Field(default=0.25, gt=0)
    compare_with: Comparison = "all"
    severity: Severity = "critical"

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        require_unique(self.columns, "columns")
        if self.volume and not 0 <= self.volume[0] <= 1 <= self.volume[1]:
            raise ValueError(f"volume {self.volume} must include 1, the median number of rows")
        if self.minimum_partitions > self.partitions:
            raise ValueError(f"minimum_partitions {self.minimum_partitions} is above {self.partitions}")
        return self


class ForeignKey(Declaration):
    """
    Each row has a row of `dataset` with the same values: those of `columns` in its columns `references`.

    `references` are by default `columns`. The partitions of the dataset are searched from the newest
    backwards, as long as a key is missing and an older partition can hold it; with `partitions` so many of
    the newest alone, which is 1 for a dataset that is read `whole`. A row with a null in `columns` is not
    checked.
    """

    columns: tuple[str, ...] = Field(min_length=1)
    dataset: Name
    references: tuple[str, ...] = ()
    partitions: int | None = Field(default=None, ge=1)
    severity: Severity = "critical"

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        require_unique(self.columns, "columns")
        require_unique(self.referenced_columns, "references")
        if len(self.referenced_columns) != len(self.columns):
            raise ValueError(
                f"references: {len(self.references)} columns cannot be compared with {len(self.columns)}"
            )
        return self

    @property
    def referenced_columns(self) -> tuple[str, ...]:
        """Columns of the other dataset, in the order of `columns`."""
        return self.references or self.columns


def _import_path(function: Any) -> Any:
    """Return `module:name` of a function, and anything else as it is."""
    if not callable(function):
        return function
    name = getattr(function, "__qualname__", repr(function))
    if not name.isidentifier():
        raise ValueError(f"{name} must be a function of a module, such as include.checks.cars:rules")
    return f"{function.__module__}:{name}"


def _require_module(path: Any) -> Any:
    """Raise ValueError unless `path` is `module:name` of a module that exists; it is not imported."""
    module, _, name = path.partition(":")
    try:
        exists = name.isidentifier() and find_spec(module) is not None
    except (ImportError, ValueError):
        exists = False
    if not exists:
        raise ValueError(f"{path!r} is no function: give module:name, such as include.checks.cars:rules")
    return path


# A function of the declaration's module, or the import path of one, such as `include.checks.cars:rules`. It
# returns expectations of Great Expectations, and is called when a partition is validated, not while parsing.
Expectations = Annotated[
    Callable[[], Any] | str,
    Field(union_mode="left_to_right"),
    BeforeValidator(_import_path),
    AfterValidator(_require_module),
]


def require_checkable(
    columns: Sequence[Column],
    freshness: Freshness | None,
    stability: Stability | None,
    foreign_keys: Iterable[ForeignKey],
    key: Sequence[str],
) -> None:
    """Raise ValueError if a check names a column that does not exist or has another type."""
    names = {column.name for column in columns}
    moments = {column.name for column in columns if column.dtype == "timestamp"}
    require_known([freshness.column] if freshness else [], moments, "freshness.column")
    watched = stability.columns if stability else ()
    require_known(watched, names, "stability.columns")
    for name in watched:
        if name in moments:
            raise ValueError(
                f"stability.columns: {name} is a timestamp, and later in each partition; use `freshness`"
            )
        if (name,) == tuple(key):
            raise ValueError(
                f"stability.columns: {name} is the key, whose values do not occur again; remove it"
            )
    for foreign_key in foreign_keys:
        require_known(foreign_key.columns, names, "foreign_keys.columns")
