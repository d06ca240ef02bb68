from __future__ import annotations

import pytest

from include.declarations import Pruning
from tests.include.modeling.tuning.test_search import _declared, children, run_id, tuning

__all__ = ["_declared", "children", "run_id", "tuning"]


@pytest.mark.parametrize("workers", [1, 2])
def test_bad_trials_end_early_and_are_repeatable(tuning, children, workers):
    result = tuning(trials=10, workers=workers, pruning=Pruning(startup_trials=3, percentile=30))
    assert result.pruned > 0
    assert (result.trials, result.failed) == (10, 0)
    pruned = [run for run in children()[0].values() if "airworthy.pruned" in run.data.tags]
    assert len(pruned) == result.pruned
    assert {run.info.status for run in pruned} == {"FINISHED"}
    # Without a mean over all folds, it cannot be confused with a measured trial.
    assert all("log_loss" not in run.data.metrics for run in pruned)
    assert all("fold_2.log_loss" not in run.data.metrics for run in pruned)
    assert tuning(trials=10, workers=workers, pruning=Pruning(startup_trials=3, percentile=30)) == result
