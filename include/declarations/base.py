"""Base class of all declarations: frozen, and an unknown field is an error."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Iterable

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Share = Annotated[float, Field(ge=0, le=1)]
Duration = Annotated[timedelta, Field(ge=timedelta(0))]
Severity = Literal["critical", "warning", "info"]
Environment = Literal["dev", "uat", "prod"]


class Declaration(BaseModel):
    """Base of every declaration: an immutable pydantic model."""

    # With NaN as its limit, a gate would never fail.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def require_unique(names: Iterable[str], field: str) -> None:
    """Raise ValueError if a name occurs more than once."""
    names = list(names)
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        raise ValueError(f"{field}: {', '.join(duplicates)} named more than once")


def require_known(names: Iterable[str], allowed: Iterable[str], field: str) -> None:
    """Raise ValueError if a name is not one of `allowed`."""
    unknown = sorted(set(names) - set(allowed))
    if unknown:
        raise ValueError(f"{field}: unknown {', '.join(unknown)}; there are {', '.join(sorted(allowed))}")
