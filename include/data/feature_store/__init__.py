"""Feature store: Feast with historical features from the lake and online features in PostgreSQL."""

from __future__ import annotations
