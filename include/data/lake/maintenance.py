"""Maintenance of a table: small files are compacted, unused ones are deleted."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from deltalake.exceptions import CommitFailedError

from include.errors import ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Collection

    from deltalake import DeltaTable


def compact_and_vacuum(
    table: str, opened: DeltaTable, retention: timedelta, keep_versions: Collection[int]
) -> int:
    """
    Compact small files, delete those older than `retention` that no kept version needs; return their number.

    Raises
    ------
    ServiceUnavailable
        If partitions were published during the compaction.
    """
    try:
        opened.optimize.compact()
        deleted = opened.vacuum(
            int(retention / timedelta(hours=1)),
            dry_run=False,
            enforce_retention_duration=False,
            full=True,
            keep_versions=sorted(keep_versions),
        )
    except CommitFailedError as error:
        raise ServiceUnavailable(
            f"{table} was published to while it was being compacted; nothing is lost. Try again. ({error})"
        ) from error
    return len(deleted)
