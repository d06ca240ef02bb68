from __future__ import annotations

import numpy as np
import pandas as pd

from include.use_cases.flight_delay import CATEGORIES, USE_CASE
from tests.bench.estimates import measure_errors


def test_estimates_of_a_world_that_stays_are_close() -> None:
    random = np.random.default_rng(0)
    n_rows = 8_000
    rows = pd.DataFrame({name: random.normal(size=n_rows) for name in USE_CASE.features})
    rows = rows.assign(**dict.fromkeys(CATEGORIES, "A"))
    start = pd.Timestamp("2013-05-01")
    rows["day"] = start + pd.to_timedelta(np.sort(random.integers(0, 110, n_rows)), unit="D")
    chance = 1 / (1 + np.exp(-rows["wind"]))
    rows["target"] = (random.random(n_rows) < chance).astype(float)
    errors = measure_errors(rows)
    assert {"roc_auc", "log_loss", "brier"} <= errors.keys()
    assert np.mean(np.abs(errors["roc_auc"])) < 0.04
