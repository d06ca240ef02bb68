from __future__ import annotations

from datetime import UTC, datetime

import pytest

from include.errors import DataError
from include.scaffold.history import datasets_of, landed_partitions, views_of


def test_labels_are_ingested_before_the_rows(declare_model):
    declared = declare_model("readings")
    use_case = declared.use_cases["readings"]
    assert [dataset.name for dataset in datasets_of(use_case)] == ["readings_outcomes", "readings_rows"]
    assert [view.name for view in views_of(use_case)] == ["readings_features"]
    landed = landed_partitions(declared.datasets["readings_rows"])
    assert (str(landed[0]), str(landed[-1]), len(landed)) == ("2025-01-01", "2025-01-30", 30)


def test_file_that_is_read_whole_lands_today(declare_model):
    declared = declare_model("customers")
    assert landed_partitions(declared.datasets["customers_rows"]) == [datetime.now(UTC).date()]


def test_dataset_without_files_is_named(declare_model):
    declared = declare_model("customers")
    with pytest.raises(DataError, match=r"flights: nothing has landed\. Its first file is expected at"):
        landed_partitions(declared.datasets["flights"])
