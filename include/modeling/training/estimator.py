"""Fit any scikit-learn-compatible estimator, in a pipeline or not, with weights and early stopping."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any

from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

from include.errors import AirworthyError, DeclarationError, TrainingFailed
from include.modeling.training.sample_weights import sample_weights
from include.modeling.transient_errors import translate_transient

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from include.declarations import UseCase


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted estimator, what it warned of, and after how many rounds it stopped (None: it has none)."""

    estimator: Any
    notes: tuple[str, ...]
    iterations: int | None


def fit_estimator(use_case: UseCase, estimator: Any, train: pd.DataFrame, validation: pd.DataFrame) -> Fitted:
    """
    Fit `estimator` on the rows of `train`; those of `validation` only say when to stop.

    :raises DeclarationError: if `training` asks for what the estimator cannot do
    :raises TrainingFailed: if it raises, or does not converge where the use case requires that
    :raises ServiceUnavailable: if memory, disk, a worker or a connection failed it
    """
    features = list(use_case.features)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always", ConvergenceWarning)
        try:
            with translate_transient(f"{use_case.name}: the fit on {len(train)} rows"):
                seed(estimator, use_case.training.seed)
                given = _weights(use_case, estimator, sample_weights(use_case.training, train))
                if use_case.training.early_stopping is None:
                    named = {f"{_prefix(estimator)}{name}": value for name, value in given.items()}
                    estimator.fit(train[features], train["target"], **named)
                else:
                    _stop_early(use_case, estimator, train, validation, given)
        except AirworthyError:
            raise
        except Exception as error:  # whatever else it raises is the estimator's, and the same next time
            raise TrainingFailed(
                f"{use_case.name}: {type(final_estimator(estimator)).__name__} could not be fitted on "
                f"{len(train)} rows: {type(error).__name__}: {error}. See build_model() in "
                f"include/use_cases/{use_case.name}.py."
            ) from error
    notes = _heard(heard)
    if notes and use_case.training.convergence == "require":
        raise TrainingFailed(
            f"{use_case.name} requires convergence: {'; '.join(notes)}. Give the estimator more iterations "
            'or scaled features, or declare training.convergence="note".'
        )
    return Fitted(estimator, notes, n_iterations(estimator))


def seed(estimator: Any, value: int) -> None:
    """Fill every `random_state` that `build_model()` left open, so that the same rows give the same model."""
    if not hasattr(estimator, "get_params"):
        return
    parameters = estimator.get_params()
    open_ones = [
        name for name, now in parameters.items() if now is None and name.rpartition("__")[2] == "random_state"
    ]
    if open_ones:
        estimator.set_params(**dict.fromkeys(open_ones, value))


def seeds(use_case: UseCase, estimator: Any) -> dict[str, int]:
    """Return what chance began with: the declared seed, and each `random_state` of the estimator."""
    parameters = estimator.get_params() if hasattr(estimator, "get_params") else {}
    states = {
        name: int(value)
        for name, value in parameters.items()
        if name.rpartition("__")[2] == "random_state" and isinstance(value, Integral)
    }
    return {"training.seed": use_case.training.seed} | states


def final_estimator(estimator: Any) -> Any:
    """Return what learns: the last step of a pipeline, or the estimator itself."""
    return estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator


def transform_features(estimator: Any, rows: pd.DataFrame) -> Any:
    """Return `rows` as the last step of a fitted pipeline sees them."""
    if isinstance(estimator, Pipeline) and len(estimator.steps) > 1:
        return estimator[:-1].transform(rows)
    return rows


def n_iterations(estimator: Any) -> int | None:
    """Return after how many rounds a fitted estimator stopped; None if it has no rounds."""
    last = final_estimator(estimator)
    for name in ("best_iteration_", "n_iter_", "n_estimators_"):
        value = getattr(last, name, None)
        if isinstance(value, int) and value > 0:
            return value
    return None


def _weights(
    use_case: UseCase, estimator: Any, weights: npt.NDArray[np.float64] | None
) -> dict[str, npt.NDArray[np.float64]]:
    if weights is None:
        return {}
    last = final_estimator(estimator)
    if not has_fit_parameter(last, "sample_weight"):
        raise DeclarationError(
            f"training of {use_case.name}: {type(last).__name__} takes no sample_weight, so neither "
            "class_weights nor half_life_days can work. Leave them out, or choose another estimator."
        )
    return {"sample_weight": weights}


def _prefix(estimator: Any) -> str:
    return f"{estimator.steps[-1][0]}__" if isinstance(estimator, Pipeline) else ""


def _stop_early(
    use_case: UseCase,
    estimator: Any,
    train: pd.DataFrame,
    validation: pd.DataFrame,
    given: dict[str, npt.NDArray[np.float64]],
) -> None:
    """Fit the steps before the last, then the last one with the validation rows as these steps give them."""
    features, last = list(use_case.features), final_estimator(estimator)
    rounds = use_case.training.early_stopping or 0
    rows = train[features]
    if isinstance(estimator, Pipeline) and len(estimator.steps) > 1:
        head = estimator[:-1]
        rows = head.fit_transform(rows, train["target"])
        estimator.steps[:-1] = head.steps
    held_out = transform_features(estimator, validation[features])
    target = validation["target"]
    if has_fit_parameter(last, "X_val"):
        last.set_params(early_stopping=True, n_iter_no_change=rounds)
        last.fit(rows, train["target"], X_val=held_out, y_val=target, **given)
    elif has_fit_parameter(last, "eval_X"):
        from lightgbm import early_stopping

        stop = [early_stopping(rounds, verbose=False)]
        last.fit(rows, train["target"], eval_X=(held_out,), eval_y=(target,), callbacks=stop, **given)
    else:
        raise DeclarationError(
            f"training.early_stopping of {use_case.name}: {type(last).__name__} cannot stop on validation "
            "days. HistGradientBoosting and LightGBM can; leave it out for others."
        )


def _heard(warned: list[warnings.WarningMessage]) -> tuple[str, ...]:
    """Return what did not converge, and pass every other warning on."""
    notes = []
    for one in warned:
        if issubclass(one.category, ConvergenceWarning):
            notes.append(f"it did not converge: {str(one.message).splitlines()[0]}")
        else:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    return tuple(dict.fromkeys(notes))
