"""Key columns of a request: what callers may send instead of features."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from include.feature_values import ColumnType


@dataclass(frozen=True, slots=True)
class Keys:
    """
    Columns that a caller may send besides the features.

    Parameters
    ----------
    kinds
        Type of each entity column, and of the time of the event.
    features
        Entity columns by which a feature is looked up if it is not sent.
    """

    kinds: Mapping[str, ColumnType]
    features: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def can_look_up(self, feature: str, sent: Collection[str]) -> bool:
        """Return whether the entity columns of a feature were sent."""
        keys = self.features.get(feature, ())
        return bool(keys) and all(key in sent for key in keys)

    def sends_part(self, feature: str, sent: Collection[str]) -> bool:
        """Return whether some, but not all, of the entity columns of a feature were sent."""
        keys = self.features.get(feature, ())
        return any(key in sent for key in keys) and not self.can_look_up(feature, sent)

    def describe(self, columns: Collection[str]) -> str:
        """Return in words which keys may be sent instead of which of the columns."""
        names_by_key: dict[tuple[str, ...], list[str]] = {}
        for name in columns:
            if name in self.features:
                names_by_key.setdefault(self.features[name], []).append(name)
        if len(names_by_key) == 1 and all(name in self.features for name in columns):
            return f", or {' and '.join(next(iter(names_by_key)))} alone"
        parts = [f"{' and '.join(key)} instead of {', '.join(names)}" for key, names in names_by_key.items()]
        return f", or {'; '.join(parts)}" if parts else ""


NO_KEYS = Keys({})
