"""Commits that name the run that made them, that are not made twice, and that never undo newer ones."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from deltalake import CommitProperties, Transaction
from deltalake.exceptions import CommitFailedError
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from include.data.lake.publications import PARTITIONS
from include.errors import ServiceUnavailable, StaleAttempt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from deltalake import DeltaTable

    from include.data.lake.partition_columns import PartitionSet

COMMIT_ID = "publication"
COMMIT_TIMEOUT = timedelta(minutes=2)


class TableAppeared(Exception):
    """Another writer created the table in the meantime: start again, with its schema."""


@dataclass(frozen=True, slots=True)
class PendingCommit:
    """
    The commit that publishes some partitions, however often it is tried.

    Parameters
    ----------
    table
        Name of the table.
    partitions
        Partitions that the commit replaces; it records them, since some may have no rows.
    metadata
        Stored with the commit: `run` and `try` of the writer, `code` that produced the rows, and `task`
        where several tasks of a run publish the same partitions.
    commit_id
        Identifies the commit if its answer was lost.
    """

    table: str
    partitions: PartitionSet
    metadata: Mapping[str, str]
    commit_id: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def attempt(self) -> int | None:
        """Number of the run's try; None if the metadata has none."""
        number = self.metadata.get("try", "")
        return int(number) if "run" in self.metadata and number.isdecimal() else None

    def properties(self) -> CommitProperties:
        """Return the metadata and options of the commit."""
        return CommitProperties(
            custom_metadata={
                **self.metadata,
                PARTITIONS: self.partitions.key,
                COMMIT_ID: self.commit_id,
            },
            # Delta's own retries would not notice a schema that changed in between.
            max_commit_retries=0,
            app_transactions=None if self.attempt is None else [Transaction(self._key, self.attempt)],
        )

    def raise_if_superseded(self, opened: DeltaTable) -> None:
        """
        Raise an error if a newer try of the same run has published these partitions.

        Raises
        ------
        StaleAttempt
            With the numbers of both tries.
        """
        if self.attempt is None:
            return
        newest = opened.transaction_version(self._key)
        if newest is not None and newest > self.attempt:
            raise StaleAttempt(
                f"{self.table}: {self.partitions} was published by try {newest} of {self.metadata['run']}; "
                f"try {self.attempt} comes too late and changed nothing. Look at the newest try."
            )

    def committed_version(self, opened: DeltaTable, since: int) -> int | None:
        """Return the version after `since` that has this commit; None if it was not committed."""
        n_newer = opened.version() - since
        newer = opened.history(n_newer) if n_newer > 0 else []
        versions = (int(commit["version"]) for commit in newer if commit.get(COMMIT_ID) == self.commit_id)
        return next(versions, None)

    @property
    def _key(self) -> str:
        return "/".join((self.metadata["run"], self.metadata.get("task", ""), str(self.partitions)))


def commit_with_retry(
    pending: PendingCommit,
    find_table: Callable[[], DeltaTable | None],
    attempt: Callable[[DeltaTable | None], int],
    timeout: timedelta,
) -> int:
    """
    Commit onto the newest version of a table until no other writer is faster, and return the new version.

    A commit whose answer was lost is found again and not repeated.

    Parameters
    ----------
    pending
        The commit.
    find_table, attempt
        Functions that open the newest version, and commit onto it and return the new one.
    timeout
        Time after which no further attempt is made.

    Raises
    ------
    StaleAttempt
        If a newer try of the same run has published.
    ServiceUnavailable
        If other writers are faster until the timeout.
    """
    first_version: int | None = None

    def commit_once() -> int:
        nonlocal first_version
        opened = find_table()
        if opened is not None:
            if first_version is not None:
                version = pending.committed_version(opened, first_version)
                if version is not None:
                    return version
            pending.raise_if_superseded(opened)
        if first_version is None:
            first_version = -1 if opened is None else opened.version()
        return attempt(opened)

    try:
        return _retrying(timeout)(commit_once)
    except (CommitFailedError, TableAppeared) as error:
        raise ServiceUnavailable(
            f"{pending.table}: {pending.partitions} could not be published within {timeout}, "
            f"because others write the same. Try again. ({error})"
        ) from error


def _retrying(timeout: timedelta) -> Retrying:
    return Retrying(
        retry=retry_if_exception_type((CommitFailedError, TableAppeared)),
        wait=wait_random_exponential(multiplier=0.05, max=2),
        stop=stop_after_delay(timeout),
        reraise=True,
    )
