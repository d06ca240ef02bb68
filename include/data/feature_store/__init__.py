"""Feature store: Feast with historical features from the lake and online features in PostgreSQL."""

from __future__ import annotations

import typeguard

# Otherwise Feast compiles its functions anew as it is imported, to check the types of arguments: 3 of 4.5 s.
typeguard.typechecked = lambda function: function  # type: ignore[assignment]
