from __future__ import annotations

import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from include.declarations import Pruning, Real, Tuning
from include.errors import DeclarationError
from include.modeling.tuning.pruning import require_rounds, run_batch
from include.modeling.tuning.study import Study
from include.modeling.tuning.trial import TrialPart, TrialResult
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


SHORT = TrialPart((0,), 0.2)
FULL = [TrialPart((fold,)) for fold in range(3)]


def declared(pruning, folds):
    return Tuning(parameters={"rate": Real(low=0, high=1)}, trials=3, folds=folds, pruning=pruning)


def measured_parts(engine, pruning, *, has_rounds=True, folds=3):
    """Return the parts of a good trial, and of a bad one after it, that were measured."""
    tuning = declared(pruning, folds)
    study = Study(engine, "s", tuning, metric="log_loss", seed=0)
    parts = ([], [])

    def execute(batch, part):
        for number, _ in batch:
            parts[number].append(part)
            is_measured = has_rounds or part.rounds is None
            yield number, TrialResult((0.1 + 0.8 * number,) if is_measured else (), 0.1)

    for _ in parts:
        list(run_batch(study, tuning, execute, study.next_batch(1)))
    return parts


@pytest.mark.parametrize(
    ("pruning", "has_rounds", "bad"),
    [
        (Pruning(startup_trials=1), True, [SHORT]),
        (Pruning(startup_trials=1), False, [SHORT, FULL[0]]),
        (Pruning(startup_trials=1, first_rounds=None), True, [FULL[0]]),
        (Pruning(startup_trials=2), True, [SHORT, *FULL]),
    ],
    ids=["within a fold", "without rounds", "after a fold", "not yet"],
)
def test_hopeless_trial_ends_as_early_as_it_can(database, pruning, has_rounds, bad):
    good, measured = measured_parts(database, pruning, has_rounds=has_rounds)
    assert good == [*([SHORT] if pruning.first_rounds else []), *FULL]
    assert measured == bad


def test_trial_is_not_compared_before_its_warm_up(database):
    good, bad = measured_parts(database, Pruning(startup_trials=1, warmup_folds=1))
    assert (good, bad) == (FULL, FULL[:2])


def test_one_fold_is_pruned_after_its_first_rounds(database):
    good, bad = measured_parts(database, Pruning(startup_trials=1), folds=1)
    assert (good, bad) == ([SHORT, FULL[0]], [SHORT])


def test_one_fold_needs_an_estimator_of_known_rounds():
    pruning = Pruning(startup_trials=1)
    require_rounds(declared(pruning, 1), HistGradientBoostingClassifier)
    require_rounds(declared(pruning, 2), LogisticRegression)
    with pytest.raises(DeclarationError, match=r"LogisticRegression tells no number of rounds.*two or more"):
        require_rounds(declared(pruning, 1), LogisticRegression)
