"""What all declarations share: they are frozen, and a field that nobody knows is an error."""

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
    """The base of everything that is declared."""

    # A limit that is not a number would be a gate that never fires.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def require_unique(names: Iterable[str], field: str) -> None:
    """Refuse names that are there twice."""
    names = list(names)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{field}: {', '.join(twice)} named twice")


def require_known(names: Iterable[str], allowed: Iterable[str], field: str) -> None:
    """Refuse names that are not among `allowed`."""
    unknown = sorted(set(names) - set(allowed))
    if unknown:
        raise ValueError(f"{field}: unknown {', '.join(unknown)}; there are {', '.join(sorted(allowed))}")
