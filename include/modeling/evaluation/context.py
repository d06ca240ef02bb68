"""A candidate on trial: its model, rows it has seen and rows it has not, and its answers to them."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from include.errors import AirworthyError, DataError
from include.modeling.evaluation.baseline import baseline_predictions
from include.modeling.evaluation.bootstrap import DayBootstrap
from include.modeling.evaluation.costs import DEFAULT_THRESHOLD, best_threshold
from include.modeling.transient_errors import translate_transient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy.typing as npt
    import pandas as pd

    from include.data.snapshots.splits import Splits
    from include.declarations import UseCase
    from include.inference.model import ServedModel
    from include.modeling.evaluation.bootstrap import Values
    from include.modeling.evaluation.isolated_process import ProcessMeasurement

SAMPLE = 50_000  # rows of train and validation: enough for their metrics, whatever they hold


@dataclass(frozen=True, slots=True)
class ScoredSplit:
    """Rows, what became of them, and what the candidate said."""

    frame: pd.DataFrame
    target: Values
    predictions: Values


@dataclass(frozen=True, slots=True)
class ChampionScores:
    """The champion, and its answers to the candidate's test rows."""

    version: int
    model: ServedModel
    folder: Path
    predictions: Values


@dataclass(frozen=True, slots=True)
class EvaluationContext:
    """
    All that gates may look at.

    `train` and `validation` are at most `SAMPLE` rows each, always the same ones; `test` is whole. `naive`
    and `naive_threshold` are of the forecast without a model. `fresh` and `champions` wait for what the
    packaged models answered in a process of their own.
    """

    use_case: UseCase
    model: ServedModel
    folder: Path
    train: ScoredSplit
    validation: ScoredSplit | None
    test: ScoredSplit
    days: DayBootstrap
    threshold: float
    baseline: Values
    baseline_threshold: float
    champion: ChampionScores | None = None
    isolated: Callable[[], ProcessMeasurement] | None = None
    champion_isolated: Callable[[], ProcessMeasurement] | None = None


def build_context(
    use_case: UseCase, model: ServedModel, folder: Path, splits: Splits, **more: Any
) -> EvaluationContext:
    """
    Ask the model everything that several gates look at; `more` are further fields of the trial.

    :raises DataError: if it answers something that is no prediction
    """
    train, test = (
        score_split(use_case, model, frame) for frame in (sample(splits.train, SAMPLE), splits.test)
    )
    chosen_on, validation = train, None
    if len(splits.validation):
        validation = chosen_on = score_split(use_case, model, sample(splits.validation, SAMPLE))
    naive, naive_chosen = baseline_predictions(use_case, splits.train, splits.test, chosen_on.frame)
    return EvaluationContext(
        use_case=use_case,
        model=model,
        folder=folder,
        train=train,
        validation=validation,
        test=test,
        days=DayBootstrap.of(splits.test["day"]),
        threshold=_threshold(use_case, chosen_on.target, chosen_on.predictions),
        baseline=naive,
        baseline_threshold=_threshold(use_case, chosen_on.target, naive_chosen),
        **more,
    )


def score_split(use_case: UseCase, model: ServedModel, frame: pd.DataFrame) -> ScoredSplit:
    """Return these rows with the model's answers."""
    answers = predict_checked(use_case, model, frame)
    return ScoredSplit(frame, frame["target"].to_numpy(dtype=np.float64), answers)


def predict_checked(use_case: UseCase, model: ServedModel, frame: pd.DataFrame) -> Values:
    """
    Return one number for each row, or of several classes one for each of them.

    :raises DataError: if the model raises, or answers anything else
    :raises ServiceUnavailable: if memory, disk, a worker or a connection failed it
    """
    with estimator_errors(use_case, f"{len(frame)} rows"):
        answers = np.asarray(model.predict(frame), dtype=np.float64)
    wrong = int(np.count_nonzero(~np.isfinite(answers)))
    classes = len(use_case.label.classes)
    if answers.shape != ((len(frame), classes) if classes else (len(frame),)) or wrong:
        what = f"{wrong} of them are not finite" if wrong else f"they have the shape {answers.shape}"
        raise DataError(
            f"{use_case.name}: the answers to {len(frame)} rows are no predictions: {what}. "
            "Correct build_model(), or look at the rows of the snapshot."
        )
    return answers


@contextmanager
def estimator_errors(use_case: UseCase, what: str) -> Iterator[None]:
    """
    Tell what a team's estimator raises from what only happened to it, while it is asked `what`.

    :raises DataError: quoting the estimator
    :raises ServiceUnavailable: in place of an accident, which says nothing of the model
    """
    try:
        with translate_transient(f"{use_case.name}: the prediction of {what}"):
            yield
    except AirworthyError:
        raise
    except Exception as error:  # anybody's estimator may raise anything, and does so the next time too
        raise DataError(
            f"{use_case.name}: the model cannot answer {what}: {type(error).__name__}: {error}. "
            "Correct build_model(), for instance how it takes missing and unknown values."
        ) from error


def sample(frame: pd.DataFrame, rows: int) -> pd.DataFrame:
    """Return at most so many rows, evenly spread, always the same ones."""
    return frame if len(frame) <= rows else frame.iloc[evenly_spaced(len(frame), rows)]


def evenly_spaced(count: int, rows: int) -> npt.NDArray[np.intp]:
    """Return the places of at most `rows` of `count` rows, evenly spread."""
    return np.linspace(0, count - 1, min(rows, count)).astype(np.intp)


def _threshold(use_case: UseCase, target: Values, answers: Values) -> float:
    if use_case.cost is None or use_case.cost.kind == "error":
        return DEFAULT_THRESHOLD
    return best_threshold(use_case.cost, target, answers)
