"""What the inference log keeps of a request: personal values as pseudonyms, or not at all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from include.pseudonyms import pseudonym
from include.settings import settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from include.declarations import Column
    from include.declarations.relations.feature_selection import FeatureSelection

# Of these types, equal values are still equal as pseudonyms; other personal values are not logged.
PSEUDONYM_TYPES = frozenset({"string"})


@dataclass(frozen=True, slots=True)
class LoggedValues:
    """
    Personal columns of a use case.

    Parameters
    ----------
    pseudonyms
        Columns that are logged as pseudonyms: personal text, and personal keys of an entity.
    dropped
        Columns that are not logged: personal numbers, moments and booleans.
    is_entity_personal
        Whether the entity that a caller names is logged as a pseudonym.
    key
        Key of pseudonyms.
    """

    pseudonyms: frozenset[str] = frozenset()
    dropped: frozenset[str] = frozenset()
    is_entity_personal: bool = False
    key: str = field(default="", repr=False)

    def entity(self, entity: str | None) -> str | None:
        """Return the entity as it is logged."""
        return pseudonym(entity, self.key) if entity and self.is_entity_personal else entity

    def rows(self, rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return rows as they are logged."""
        return [self._row(row) for row in rows]

    def _row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        logged = {name: value for name, value in row.items() if name not in self.dropped}
        for name in self.pseudonyms & logged.keys():
            if logged[name] is not None:
                logged[name] = pseudonym(logged[name], self.key)
        return logged


def logged_values_of(selection: FeatureSelection | None) -> LoggedValues:
    """Return the personal columns of a version's features; none if they are not known."""
    if selection is None:
        return LoggedValues()
    keys = set(selection.spine.entities)
    columns: dict[str, Column] = {}
    for view in selection.views:
        columns |= {column.name: column for column in view.columns}
    columns |= selection.columns
    personal = {name: column.dtype for name, column in columns.items() if column.personal}
    pseudonyms = {name for name, dtype in personal.items() if dtype in PSEUDONYM_TYPES or name in keys}
    return LoggedValues(
        pseudonyms=frozenset(pseudonyms),
        dropped=frozenset(personal.keys() - pseudonyms),
        is_entity_personal=not keys.isdisjoint(personal),
        key=settings().pseudonym_key,
    )
