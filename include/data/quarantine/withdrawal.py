"""Withdrawal: released rows that a newer run of their partition does not have any more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from include.data.lake.partition_columns import parse_partition_name
from include.data.quarantine import queue as quarantine
from include.data.quarantine.queue import Quarantine, ReviewAction
from include.data.quarantine.release import still_released
from include.data.quarantine.rows import ROW_ID, key_texts
from include.data.validation.results import REASONS, partition_result
from include.partitions import format_partition

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from include.data.validation.batch import Batch
    from include.data.validation.results import CheckResult
    from include.data.validation.statistics import AcceptedStatistics
    from include.partitions import Partition


@dataclass(frozen=True)
class ReleasedKeys:
    """
    Keys of the rows that were released into some partitions.

    Attributes
    ----------
    key : tuple of str
        Key columns of the dataset.
    keys : mapping of str to mapping of str to list of str
        By partition name and row id: the values of the key.
    personal : frozenset of str
        Personal columns, of whose values `keys` has pseudonyms.
    """

    key: tuple[str, ...]
    keys: Mapping[str, Mapping[str, list[str]]]
    personal: frozenset[str] = frozenset()

    def checks(self) -> list[WithdrawalCheck]:
        """Return the check that the partitions still have these rows; none if no row was released."""
        return [WithdrawalCheck(self)] if self.keys else []


class WithdrawalCheck:
    """Every released row is among the accepted rows."""

    def __init__(self, released: ReleasedKeys) -> None:
        self.released = released
        self._existing: dict[str, set[tuple[str, ...]]] = {name: set() for name in released.keys}

    def add(self, accepted: Batch) -> None:
        """Note which of the released keys a batch has."""
        key = self.released.key
        names = np.asarray(accepted.partitions.names, dtype=object)
        for partition, released in self.released.keys.items():
            is_inside = np.isin(accepted.positions, np.flatnonzero(names == partition))
            rows = accepted.select(is_inside).frame_of(key)
            existing = set(map(tuple, key_texts(rows, key, self.released.personal)))
            self._existing[partition] |= existing & {tuple(values) for values in released.values()}

    def missing(self) -> dict[str, dict[str, str]]:
        """Return, by partition name and row id, the keys that no accepted row has."""
        missing: dict[str, dict[str, str]] = {}
        for partition, released in self.released.keys.items():
            existing = self._existing[partition]
            absent = {
                row_id: ", ".join(key) for row_id, key in released.items() if tuple(key) not in existing
            }
            if absent:
                missing[partition] = absent
        return missing

    def result(self, _: AcceptedStatistics) -> CheckResult:
        """Return a warning with the keys of the released rows that are missing."""
        absent: list[tuple[str, str]] = []
        for partition, keys in self.missing().items():
            absent += [(partition, key) for key in keys.values()]
        return partition_result(
            "expect_column_distinct_values_to_contain_set",
            ", ".join(self.released.key),
            absent,
            message="rows that were released from the quarantine are not in the partition any more",
            severity="warning",
            parameters={"value_set": [key for _, key in absent]},
        )


def released_keys(queue: Quarantine, days: Sequence[Partition]) -> ReleasedKeys:
    """Return the keys that were released into these partitions and not withdrawn since."""
    entries = quarantine.find_actions(
        queue.engine, queue.name, partitions=[format_partition(day) for day in days]
    )
    return ReleasedKeys(queue.key, still_released(entries), queue.personal)


def record_withdrawal(queue: Quarantine, check: WithdrawalCheck, run: str) -> None:
    """Record in the ledger which released rows a newer run of their partition leaves out."""
    for day, absent in check.missing().items():
        rows = pd.DataFrame({ROW_ID: list(absent), REASONS: "not among the rows that pass today"})
        dag_run = run.rpartition("/")[0] or run
        action = ReviewAction(f"airflow:{dag_run.partition('/')[0]}", dag_run)
        with queue.engine.begin() as connection:
            quarantine.log_action(connection, queue, "withdraw", parse_partition_name(day), rows, action)
