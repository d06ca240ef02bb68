"""Fitting of any scikit-learn-compatible estimator or pipeline, with sample weights and early stopping."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any

from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

from include.data.snapshots.target_encoding import TARGET
from include.errors import DeclarationError, TrainingFailed
from include.modeling.evaluation.estimator_errors import estimator_errors
from include.modeling.training.early_stopping import StoppingRows, fit_until_stopped, rounds_of
from include.modeling.training.sample_weights import sample_weights

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from include.declarations import UseCase

    FitArguments = dict[str, Any]


@dataclass(frozen=True, slots=True)
class FittedEstimator:
    """A fitted estimator, its convergence warnings, and its number of rounds (None: it has no rounds)."""

    estimator: Any
    notes: tuple[str, ...]
    iterations: int | None


def fit_estimator(
    use_case: UseCase, estimator: Any, train: pd.DataFrame, validation: pd.DataFrame
) -> FittedEstimator:
    """
    Fit `estimator` on `train`; `validation` is used for early stopping only.

    Parameters
    ----------
    use_case
        Use case whose `features` and `training` are used.
    estimator
        Unfitted estimator or pipeline; it is fitted in place.
    train, validation
        Rows with the features, `TARGET` and, for weights by age, `DAY`.

    Raises
    ------
    DeclarationError
        If the estimator does not support the declared weights or early stopping.
    TrainingFailed
        If the estimator raises, or does not converge although the use case requires it.
    ServiceUnavailable
        If memory, disk, a worker process or a connection failed.
    """
    learner = type(final_estimator(estimator)).__name__
    action = f"{use_case.name}: the fit of {learner} on {len(train)} rows"
    remedy = f"Check build_model() in include/use_cases/{use_case.name}.py."
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        with estimator_errors(action, remedy=remedy, error=TrainingFailed):
            _fit(use_case, estimator, train, validation)
    notes = _convergence_notes(caught)
    if notes and use_case.training.convergence == "require":
        raise TrainingFailed(
            f"{use_case.name} requires convergence: {'; '.join(notes)}. Give the estimator more iterations "
            'or scaled features, or declare training.convergence="note".'
        )
    return FittedEstimator(estimator, notes, n_iterations(estimator))


def seed(estimator: Any, value: int) -> None:
    """Set every `random_state` of `estimator` that is None, so that the same rows give the same model."""
    if not hasattr(estimator, "get_params"):
        return
    unset = [
        name for name, current in estimator.get_params().items() if current is None and _is_random_state(name)
    ]
    if unset:
        estimator.set_params(**dict.fromkeys(unset, value))


def seeds(use_case: UseCase, estimator: Any) -> dict[str, int]:
    """Return the declared seed as `training.seed`, and each integer `random_state` of the estimator."""
    parameters = estimator.get_params() if hasattr(estimator, "get_params") else {}
    random_states = {
        name: int(value)
        for name, value in parameters.items()
        if _is_random_state(name) and isinstance(value, Integral)
    }
    return {"training.seed": use_case.training.seed} | random_states


def final_estimator(estimator: Any) -> Any:
    """Return the last step of a pipeline, or the estimator itself."""
    return estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator


def transform_features(estimator: Any, rows: pd.DataFrame) -> Any:
    """Return `rows` transformed by all steps of a fitted pipeline but the last."""
    if isinstance(estimator, Pipeline) and len(estimator.steps) > 1:
        return estimator[:-1].transform(rows)
    return rows


def n_iterations(estimator: Any) -> int | None:
    """Return the number of rounds of a fitted estimator; None if it has no rounds."""
    return rounds_of(final_estimator(estimator))


def _is_random_state(name: str) -> bool:
    return name.rpartition("__")[2] == "random_state"


def _fit(use_case: UseCase, estimator: Any, train: pd.DataFrame, validation: pd.DataFrame) -> None:
    seed(estimator, use_case.training.seed)
    if use_case.contamination is not None:
        _set_contamination(estimator, use_case.contamination)
    weights = sample_weights(use_case.training, train)
    arguments = {} if weights is None else _weight_argument(use_case, estimator, weights)
    if use_case.training.early_stopping is not None:
        _fit_with_early_stopping(use_case, estimator, train, validation, arguments)
        return
    prefix = f"{estimator.steps[-1][0]}__" if isinstance(estimator, Pipeline) else ""
    prefixed = {f"{prefix}{name}": value for name, value in arguments.items()}
    target = () if use_case.task == "anomaly" else (train[TARGET],)
    estimator.fit(train[list(use_case.features)], *target, **prefixed)


def _set_contamination(estimator: Any, share: float) -> None:
    """Set each `contamination` of `estimator` that is "auto", so that it flags the declared share of rows."""
    parameters = estimator.get_params() if hasattr(estimator, "get_params") else {}
    automatic = [
        name
        for name, value in parameters.items()
        if name.rpartition("__")[2] == "contamination" and value == "auto"
    ]
    if automatic:
        estimator.set_params(**dict.fromkeys(automatic, share))


def _weight_argument(use_case: UseCase, estimator: Any, weights: npt.NDArray[np.float64]) -> FitArguments:
    last = final_estimator(estimator)
    if not has_fit_parameter(last, "sample_weight"):
        raise DeclarationError(
            f"training of {use_case.name}: {type(last).__name__} takes no sample_weight, so neither "
            "class_weights nor half_life_days can work. Leave them out, or choose another estimator."
        )
    return {"sample_weight": weights}


def _fit_with_early_stopping(
    use_case: UseCase,
    estimator: Any,
    train: pd.DataFrame,
    validation: pd.DataFrame,
    arguments: FitArguments,
) -> None:
    """Fit the transforming steps, then the last step with the transformed validation rows."""
    features = list(use_case.features)
    rows = train[features]
    if isinstance(estimator, Pipeline) and len(estimator.steps) > 1:
        transformer = estimator[:-1]
        rows = transformer.fit_transform(rows, train[TARGET])
        estimator.steps[:-1] = transformer.steps
    stopping_rows = StoppingRows(
        rows,
        train[TARGET],
        transform_features(estimator, validation[features]),
        validation[TARGET],
        arguments.get("sample_weight"),
    )
    try:
        fit_until_stopped(
            final_estimator(estimator), stopping_rows, patience=use_case.training.early_stopping or 0
        )
    except DeclarationError as error:
        raise DeclarationError(f"{use_case.name}: {error}") from error


def _convergence_notes(caught: list[warnings.WarningMessage]) -> tuple[str, ...]:
    """Return the convergence warnings as text, and issue all other warnings again."""
    notes = []
    for warning in caught:
        if issubclass(warning.category, ConvergenceWarning):
            notes.append(f"it did not converge: {str(warning.message).splitlines()[0]}")
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return tuple(dict.fromkeys(notes))
