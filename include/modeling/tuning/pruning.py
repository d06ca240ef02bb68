"""Batches of trials: on all folds at once, or fold by fold where trials that are bad may end early."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.errors import DeclarationError
from include.modeling.evaluation.estimator_errors import estimator_errors
from include.modeling.training.early_stopping import shorten
from include.modeling.training.estimator import final_estimator
from include.modeling.tuning.study import FIRST_ROUNDS
from include.modeling.tuning.trial import TrialPart, TrialResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from optuna.trial import FrozenTrial

    from include.declarations import Tuning
    from include.modeling.tuning.executors import Batch, Executor
    from include.modeling.tuning.study import Study

    Trials = dict[int, Mapping[str, Any]]


def require_rounds(tuning: Tuning, build: Callable[..., Any]) -> None:
    """
    Raise DeclarationError if trials of one fold cannot end early: their number of rounds is not known.

    Raises
    ------
    AirworthyError
        If `build` raises.
    """
    pruning = tuning.pruning
    if pruning is None or pruning.first_rounds is None or tuning.folds > 1:
        return
    with estimator_errors("tuning.pruning: build_model()", remedy="Check build_model()."):
        learner = final_estimator(build())
        name = type(learner).__name__
        has_rounds = shorten(learner, pruning.first_rounds)
    if not has_rounds:
        raise DeclarationError(
            f"tuning.pruning: {name} tells no number of rounds, so that no trial of one fold could end "
            "early. Declare two or more folds, or remove pruning."
        )


def run_batch(study: Study, tuning: Tuning, execute: Executor, batch: Batch) -> Iterator[FrozenTrial]:
    """Run the trials of a batch, and yield each as soon as its result is recorded."""
    if tuning.pruning is not None:
        yield from _run_by_fold(study, tuning, execute, batch)
        return
    for number, result in execute(batch, None):
        yield study.record_result(number, result)


def _run_by_fold(study: Study, tuning: Tuning, execute: Executor, batch: Batch) -> Iterator[FrozenTrial]:
    """
    Measure all trials on one fold, end those that are bad, and go on with the next fold.

    Which trials end depends on their scores only, not on which of them is measured first.
    """
    remaining = dict(batch)
    scored = {number: TrialResult((), 0.0) for number in remaining}
    if study.first_rounds is not None:
        _report_first_rounds(study, execute, remaining, study.first_rounds)
        yield from _end_bad(study, remaining, scored)
    for fold in range(tuning.folds):
        if not remaining:
            return
        results = dict(execute(list(remaining.items()), TrialPart((fold,))))
        for number in sorted(results):
            scored[number] = _extended(scored[number], results[number])
            if scored[number].problem:
                del remaining[number]
                yield study.record_result(number, scored[number])
            else:
                study.report_score(number, fold + 1, scored[number].score)
        if fold < tuning.folds - 1:
            yield from _end_bad(study, remaining, scored)
    for number in remaining:
        yield study.record_result(number, scored[number])


def _report_first_rounds(study: Study, execute: Executor, remaining: Trials, share: float) -> None:
    """Measure all trials on the first fold with a share of their rounds; what fails is fitted in full."""
    for number, result in execute(list(remaining.items()), TrialPart((0,), share)):
        if result.scores:
            study.report_score(number, FIRST_ROUNDS, result.score)


def _end_bad(study: Study, remaining: Trials, scored: Mapping[int, TrialResult]) -> Iterator[FrozenTrial]:
    """End the trials that are bad so far, and remove them from `remaining`."""
    for number in [number for number in remaining if study.should_prune(number)]:
        del remaining[number]
        yield study.prune(number, scored[number])


def _extended(result: TrialResult, further: TrialResult) -> TrialResult:
    scores = (*result.scores, *further.scores)
    return TrialResult(scores, result.seconds + further.seconds, further.problem)
