from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
from sqlalchemy import select

from include.data.reading.misfit_causes import NUMBER_RANGE
from include.data.validation import gate_results
from include.data.validation.batch import Batch
from include.data.validation.runner import PartitionRules, validate_partition
from include.database.tables import gate_result
from include.declarations import Column


def test_gate_result_is_recorded_with_its_run(database):
    frame = pd.DataFrame({"id": ["a", "b"], "speed": [np.inf, 1.0], "_airworthy_day": "2013-01-01"})
    columns = (Column(name="id", dtype="string"), Column(name="speed", dtype="number"))
    rules = PartitionRules(columns, key=("id",), volume=(1, 9), quarantine_limit=0.4)
    report = validate_partition(Batch.of(frame, [date(2013, 1, 1)]), rules)
    gate_results.record_gate_result(database, "weather", "nightly/1", "2013-01-01", report)
    with database.connect() as connection:
        row = connection.execute(select(gate_result)).mappings().one()
    assert (row["subject"], row["run"], row["partition"]) == ("weather", "nightly/1", "2013-01-01")
    assert (row["passed"], row["rows"], row["quarantined"]) == (False, 2, 1)
    failed = {result["message"]: result["examples"] for result in row["results"] if not result["success"]}
    assert failed[f"speed is no number: it is {NUMBER_RANGE}"] == ["inf"]
