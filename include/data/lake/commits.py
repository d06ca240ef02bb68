"""Commits that tell who made them, are found again when their answer was lost, and never undo newer ones."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deltalake import CommitProperties, Transaction

from include.errors import StaleAttempt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deltalake import DeltaTable

COMMIT_ID = "publication"


@dataclass(frozen=True, slots=True)
class Publication:
    """
    One publication of these days, or hours, however many commits are tried.

    `run` and `try` in `metadata` say whose it is, and `task` where several of a run publish the same days.
    """

    table: str
    partitions: str
    metadata: Mapping[str, str]
    commit_id: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def attempt(self) -> int | None:
        """The number of the run's try, where it is known."""
        number = self.metadata.get("try", "")
        return int(number) if "run" in self.metadata and number.isdecimal() else None

    def properties(self) -> CommitProperties:
        """Return what is written beside the rows."""
        return CommitProperties(
            custom_metadata={**self.metadata, COMMIT_ID: self.commit_id},
            max_commit_retries=0,  # a schema that changed in between would go unseen
            app_transactions=None if self.attempt is None else [Transaction(self._key, self.attempt)],
        )

    def raise_if_superseded(self, opened: DeltaTable) -> None:
        """
        Keep out an attempt that runs on beside its successor, after that has published.

        :raises StaleAttempt: naming both
        """
        if self.attempt is None:
            return
        newest = opened.transaction_version(self._key)
        if newest is not None and newest > self.attempt:
            raise StaleAttempt(
                f"{self.table}: {self.partitions} was published by try {newest} of {self.metadata['run']}; "
                f"try {self.attempt} comes too late and changed nothing. Look at the newest try."
            )

    def committed(self, opened: DeltaTable, since: int) -> int | None:
        """Return the version after `since` that this publication made, though nobody said so; or None."""
        behind = opened.version() - since
        newer = opened.history(behind) if behind > 0 else []
        return next(
            (int(commit["version"]) for commit in newer if commit.get(COMMIT_ID) == self.commit_id), None
        )

    @property
    def _key(self) -> str:
        return "/".join((self.metadata["run"], self.metadata.get("task", ""), self.partitions))
