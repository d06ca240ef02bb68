"""Features through Feast: past ones out of the lake, present ones out of PostgreSQL."""

from __future__ import annotations
