"""Base class of all declarations: frozen, and an unknown field is an error."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from include.declarations.problems import DeclarationType

if TYPE_CHECKING:
    from collections.abc import Iterable

    from include.partitions import KnownFrom

# Of a month the longest; a local day on which the clocks change has an hour more or less.
LENGTHS = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
    "month": timedelta(days=31),
}
# Column of the frames that `build` gets: when a row was known.
KNOWN_AT = "_airworthy_known_at"

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Tag = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,30}$")]
Share = Annotated[float, Field(ge=0, le=1)]


def _require_reachable(limit: float) -> float:
    if limit >= 1:
        raise ValueError(f"no share is above {limit:g}, so the check can never fire: declare less than 1")
    return limit


# The largest share that is allowed.
MaximumShare = Annotated[Share, AfterValidator(_require_reachable)]
Duration = Annotated[timedelta, Field(ge=timedelta(0))]
Severity = Literal["critical", "warning", "info"]
Environment = Literal["dev", "uat", "prod"]
# Columns of ours begin with it, and no declared name does: it begins with a letter.
INTERNAL_PREFIX = "_airworthy_"
# Partition columns of every table: the day, and the hour in a table of hours.
DAY_COLUMN = f"{INTERNAL_PREFIX}day"
HOUR_COLUMN = f"{INTERNAL_PREFIX}hour"


def _require_time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is no time zone: give a name such as 'Europe/Paris' or 'UTC'") from error
    return name


TimeZone = Annotated[str, AfterValidator(_require_time_zone)]


# Endings of the names of tables that are made beside the declared ones.
TABLE_SUFFIXES = ("_quarantine", "_predictions")


class Declaration(BaseModel, metaclass=DeclarationType):
    """Base of every declaration: an immutable pydantic model."""

    # With NaN as its limit, a gate would never fail.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def known_after(known_from: KnownFrom, length: timedelta, lag: timedelta = timedelta(0)) -> timedelta:
    """Return the time from the start of a partition of this length until it is known."""
    if known_from == "start":
        return lag
    return lag + (length if known_from == "end" else known_from)


def require_unique(names: Iterable[str], field: str) -> None:
    """Raise ValueError if a name occurs more than once."""
    names = list(names)
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        raise ValueError(f"{field}: {', '.join(duplicates)} named more than once")


def require_volume(volume: tuple[int, int]) -> None:
    """Raise ValueError if no number of rows, or only none, lies within the bounds."""
    if volume[0] > volume[1]:
        raise ValueError(f"volume: the lower bound {volume[0]} is above the upper bound {volume[1]}")
    if volume[0] < 0 or volume[1] < 1:
        raise ValueError(f"volume: {volume} must be numbers of rows, of which the second one is above 0")


def require_table_name(name: str) -> None:
    """Raise ValueError if a table of the project could have this name."""
    for suffix in TABLE_SUFFIXES:
        if name.endswith(suffix):
            raise ValueError(f"name: tables whose names end with {suffix} are made by the project; rename it")


def require_known(names: Iterable[str], allowed: Iterable[str], field: str) -> None:
    """Raise ValueError if a name is not one of `allowed`."""
    unknown = sorted(set(names) - set(allowed))
    if unknown:
        raise ValueError(f"{field}: unknown {', '.join(unknown)}; there are {', '.join(sorted(allowed))}")
