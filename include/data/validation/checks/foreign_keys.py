"""Check that the rows of a partition refer to rows of another dataset."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

from include.data.validation.results import CheckResult, row_result

if TYPE_CHECKING:
    from include.data.lake.delta_tables import Lake
    from include.data.validation.batch import Batch
    from include.data.validation.results import Check
    from include.declarations import Dataset, FeatureView, ForeignKey

EXPECTATION = "expect_column_values_to_be_in_set"
_NUMBER = "_airworthy_row"


@dataclass(frozen=True)
class ForeignKeyCheck:
    """The values of each row's foreign key are in the other dataset; a row with a null is not checked."""

    foreign_key: ForeignKey
    lake: Lake

    def run(self, batch: Batch) -> CheckResult | None:
        """Return the rows without a match, or None if a column is missing."""
        columns = list(self.foreign_key.columns)
        if not batch.n_rows or not set(columns) <= set(batch.columns):
            return None
        keys = self._keys
        if keys is None:
            return self._unpublished()
        rows = batch.frame_of(columns).dropna()
        unmatched = rows.loc[self._unmatched(rows, keys)]
        dataset = self.foreign_key.dataset
        return row_result(
            EXPECTATION,
            ", ".join(columns),
            unmatched.astype(str).agg(", ".join, axis=1) if len(unmatched) else pd.Series(dtype=object),
            message=(
                f"{', '.join(columns)} has no match in {dataset} "
                f"({', '.join(self.foreign_key.referenced_columns)})"
            ),
            checked_rows=len(rows),
            severity=self.foreign_key.severity,
            parameters={"value_set": f"of {dataset}"},
        )

    @cached_property
    def _keys(self) -> pa.Table | None:
        """Distinct keys of the other dataset, under the names of `columns`; None if it is not published."""
        foreign_key = self.foreign_key
        published = self.lake.partitions(foreign_key.dataset)
        if not published:
            return None
        newest = None if foreign_key.partitions is None else published[-foreign_key.partitions :]
        referenced = list(foreign_key.referenced_columns)
        keys: pa.Table | None = None
        for batch in self.lake.scan(foreign_key.dataset, newest, columns=referenced):
            read = pa.Table.from_batches([batch]).rename_columns(list(foreign_key.columns))
            both = read if keys is None else pa.concat_tables([keys, read])
            keys = both.group_by(list(foreign_key.columns)).aggregate([])
        return keys

    def _unmatched(self, rows: pd.DataFrame, keys: pa.Table) -> list[int]:
        """Return the index of the rows that have no match, ascending."""
        columns = list(self.foreign_key.columns)
        table = pa.Table.from_pandas(rows, preserve_index=False)
        types = {name: keys.schema.field(name).type for name in columns}
        compared = pa.table({name: table[name].cast(types[name]) for name in columns})
        numbered = compared.append_column(_NUMBER, pa.array(rows.index, pa.int64()))
        unmatched = numbered.join(keys, keys=columns, join_type="left anti")
        return sorted(unmatched[_NUMBER].to_pylist())

    def _unpublished(self) -> CheckResult:
        columns = ", ".join(self.foreign_key.columns)
        dataset = self.foreign_key.dataset
        return CheckResult(
            expectation=EXPECTATION,
            column=columns,
            severity="critical",
            success=False,
            failed_rows=0,
            examples=(),
            message=(
                f"{columns} could not be checked: no partition of {dataset} is published. "
                f"Run {dataset}_ingestion first"
            ),
            blocking=True,
            error=f"no partition of {dataset} is published",
        )


def foreign_key_checks(declared: Dataset | FeatureView, lake: Lake) -> list[Check]:
    """Return a check of each declared foreign key."""
    return [ForeignKeyCheck(foreign_key, lake) for foreign_key in declared.foreign_keys]
