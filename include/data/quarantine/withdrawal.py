"""Released rows that a partition does not have any more once it is judged anew: never without a word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from include.data.lake import partition_columns
from include.data.lake.partition_columns import PartitionSet
from include.data.quarantine import queue as quarantine
from include.data.quarantine.queue import Quarantine, ReviewAction
from include.data.quarantine.release import still_released
from include.data.quarantine.rows import ROW_ID
from include.data.validation.expectations import OF_DAYS, Check, make_result
from include.data.validation.row_checks import REASONS
from include.partitions import format_partition

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from include.data.validation.results import Outcome
    from include.partitions import Partition


@dataclass(frozen=True)
class ReleasedKeys:
    """The keys of the rows that people released into these partitions, by partition and row id."""

    key: tuple[str, ...]
    keys: Mapping[str, Mapping[str, list[str]]]

    def missing(self, accepted: pd.DataFrame, partitions: Sequence[Partition]) -> dict[str, dict[str, str]]:
        """Return, by partition and row id, the keys that none of the accepted rows has."""
        place, found = PartitionSet.of(partitions), {}
        names = place.partition_of(accepted) if self.keys else pd.Series(dtype=object)
        for partition, released in self.keys.items():
            there = set(accepted.loc[names == partition, list(self.key)].astype(str).itertuples(index=False))
            gone = {one: ", ".join(key) for one, key in released.items() if tuple(key) not in there}
            if gone:
                found[partition] = gone
        return found

    def check(self, accepted: pd.DataFrame, _: Any, partitions: Sequence[Partition]) -> list[Outcome]:
        """Return the warning that belongs into the evidence."""
        if not self.keys:
            return []
        missing = self.missing(accepted, partitions)
        gone = [(day, key) for day, keys in missing.items() for key in keys.values()]
        outcome = make_result(
            "expect_column_distinct_values_to_contain_set",
            ", ".join(self.key),
            success=not gone,
            severity="warning",
            value_set=[key for _, key in gone],
            result={
                "unexpected_count": len(gone),
                "partial_unexpected_list": [key for _, key in gone],
                "unexpected_index_list": [day for day, _ in gone],
            },
        )
        told = "rows that were released from the quarantine are not in the partition any more"
        return [(Check(None, OF_DAYS, told), outcome)]


def released_keys(queue: Quarantine, days: Sequence[Partition]) -> ReleasedKeys:
    """Return what was released into these partitions and not withdrawn since."""
    entries = quarantine.find_actions(
        queue.engine, queue.name, partitions=[format_partition(day) for day in days]
    )
    return ReleasedKeys(queue.key, still_released(entries))


def record_withdrawal(
    queue: Quarantine, earlier: ReleasedKeys, accepted: pd.DataFrame, days: Sequence[Partition], run: str
) -> None:
    """Write down which released rows a newer run of their partition leaves out."""
    for day, gone in earlier.missing(accepted, days).items():
        rows = pd.DataFrame({ROW_ID: list(gone), REASONS: "not among the rows that pass today"})
        who = run.rpartition("/")[0] or run
        decision = ReviewAction(f"airflow:{who.partition('/')[0]}", who)
        with queue.engine.begin() as connection:
            quarantine.log_action(
                connection, queue, "withdraw", partition_columns.parse_partition_name(day), rows, decision
            )
