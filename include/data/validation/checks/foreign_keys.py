"""Check that the rows of a partition refer to rows of another dataset."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import pandas as pd

from include.catalog import catalog
from include.data.validation.checks.referenced_keys import ReferencedKeys
from include.data.validation.results import CheckResult, row_result

if TYPE_CHECKING:
    from include.data.lake.delta_tables import Lake
    from include.data.validation.batch import Batch
    from include.data.validation.results import Check
    from include.declarations import Dataset, FeatureView, ForeignKey

EXPECTATION = "expect_column_values_to_be_in_set"


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
        if not self._keys.is_published:
            return self._unpublished()
        rows = batch.frame_of(columns).dropna()
        unmatched = rows.loc[self._keys.unmatched(rows)]
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
    def _keys(self) -> ReferencedKeys:
        return ReferencedKeys(self.foreign_key, self.lake)

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
    """Return a check of each declared foreign key; of a dataset that is read whole, the newest landing."""
    checks: list[Check] = []
    for foreign_key in declared.foreign_keys:
        dataset = catalog().datasets.get(foreign_key.dataset)
        if dataset is not None and dataset.whole and foreign_key.partitions is None:
            foreign_key = foreign_key.model_copy(update={"partitions": 1})
        checks.append(ForeignKeyCheck(foreign_key, lake))
    return checks
