"""What can be wrong with rows before a training, and with the answers after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from include.errors import DataError, ServiceUnavailable, TrainingFailed
from include.modeling.transient_errors import translate_transient

if TYPE_CHECKING:
    import pandas as pd

    from include.declarations import UseCase

ASKED = 1_000  # rows
UNSEEN = "never seen in training"
ROUNDING = 1e-6


def check_rows(use_case: UseCase, train: pd.DataFrame) -> tuple[str, ...]:
    """
    Return what is odd about the training rows, but can be learnt from.

    :raises DataError: if the target has holes, or there are not all classes
    """
    target = train["target"]
    if target.isna().any():
        raise DataError(
            f"{use_case.name}: {int(target.isna().sum())} of {len(target)} training rows have no target. "
            "Drop them where the snapshot is read."
        )
    if use_case.task == "binary" and target.nunique() < 2:
        raise DataError(
            f"{use_case.name}: all {len(target)} training rows have the target {target.iloc[:1].tolist()}. "
            f"Train on more days, or lower label.above (now {use_case.label.above})."
        )
    absent = [name for place, name in enumerate(use_case.label.classes) if not (target == place).any()]
    if absent:
        raise DataError(
            f"{use_case.name}: none of {len(target)} training rows is {', '.join(absent)}. Train on more "
            "days, or declare other `label.classes` or `label.bands`."
        )
    notes = []
    constant = [name for name in use_case.features if train[name].nunique(dropna=False) < 2]
    if constant:
        notes.append(f"{', '.join(constant)} never changes in the {len(train)} training rows")
    if len(use_case.features) > len(train):
        notes.append(f"there are more features ({len(use_case.features)}) than training rows ({len(train)})")
    return tuple(notes)


def check_predictions(use_case: UseCase, estimator: Any, frame: pd.DataFrame) -> None:
    """
    Ask a fitted estimator some rows, and again with texts that it has never seen.

    :raises TrainingFailed: if it raises, or its answers are no predictions: wrong shape, not finite, and for
        a classifier no probabilities
    :raises ServiceUnavailable: if memory, disk, a worker or a connection failed it
    """
    rows = frame[list(use_case.features)].head(ASKED)
    _check(use_case, _ask(use_case, estimator, rows, "its own rows"), len(rows))
    texts = [name for name in rows if rows[name].map(lambda value: isinstance(value, str)).any()]
    for name in texts:
        strange = rows.head(10).assign(**{str(name): UNSEEN})
        answers = _ask(use_case, estimator, strange, f"a {name} that it has never seen")
        _check(use_case, answers, len(strange))


def _ask(use_case: UseCase, estimator: Any, rows: pd.DataFrame, what: str) -> Any:
    method = "predict" if use_case.task == "regression" else "predict_proba"
    try:
        with translate_transient(f"{use_case.name}: {method}() on {what}"):
            return np.asarray(getattr(estimator, method)(rows))
    except ServiceUnavailable:
        raise
    except Exception as error:  # whatever else it raises is the estimator's, and the same next time
        raise TrainingFailed(
            f"{use_case.name}: {method}() fails on {what}: {type(error).__name__}: {error}. Let the encoder "
            "ignore unknown values, and see build_model()."
        ) from error


def _check(use_case: UseCase, answers: Any, rows: int) -> None:
    expected = (rows,) if use_case.task == "regression" else (rows, len(use_case.label.classes) or 2)
    if answers.shape != expected:
        raise TrainingFailed(
            f"{use_case.name}: the estimator answers {rows} rows in the shape {answers.shape}, expected is "
            f"{expected}. See build_model()."
        )
    wrong = int(np.count_nonzero(~np.isfinite(answers.astype(np.float64))))
    if wrong:
        raise TrainingFailed(
            f"{use_case.name}: {wrong} of {answers.size} answers of the estimator are not finite numbers. "
            "See build_model(), and how it takes missing values."
        )
    if use_case.task == "regression":
        return
    low, high, total = answers.min(), answers.max(), answers.sum(axis=1)
    if low < 0 or high > 1 or np.abs(total - 1).max(initial=0) > ROUNDING:
        raise TrainingFailed(
            f"{use_case.name}: predict_proba gives {low:.3g} to {high:.3g}, and rows that add up to "
            f"{total.min():.3g} to {total.max():.3g}: these are no probabilities. See build_model()."
        )
