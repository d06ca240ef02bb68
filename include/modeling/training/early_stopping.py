"""Early stopping on the validation rows of the declaration, by the means that each library has for it."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.metrics import log_loss, mean_squared_error
from sklearn.utils.validation import has_fit_parameter

from include.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    import pandas as pd

# Parameters that limit the rounds, by which libraries call them.
ROUND_PARAMETERS = ("max_iter", "n_estimators", "iterations", "max_epochs")
# Attributes of a fitted estimator with its number of rounds.
ROUND_ATTRIBUTES = ("best_iteration_", "n_iter_", "n_estimators_", "tree_count_")
SUPPORTED = "HistGradientBoosting, SGD, MLP, LightGBM, XGBoost, CatBoost and networks of skorch can"


@dataclass(frozen=True, slots=True)
class StoppingRows:
    """
    Rows of a fit that stops early, as the last step of a pipeline gets them.

    Attributes
    ----------
    rows, validation_rows
        Features (n rows each), transformed.
    target, validation_target
        Targets (n,).
    weights
        Weights of `rows` (n,); None without weights.
    """

    rows: Any
    target: pd.Series[Any]
    validation_rows: Any
    validation_target: pd.Series[Any]
    weights: npt.NDArray[np.float64] | None = None

    @property
    def weight_argument(self) -> dict[str, npt.NDArray[np.float64]]:
        """The argument of `fit` for the weights; empty without weights."""
        return {} if self.weights is None else {"sample_weight": self.weights}


def fit_until_stopped(learner: Any, rows: StoppingRows, patience: int) -> None:
    """
    Fit `learner` until `patience` rounds in a row have not lowered the loss on the validation rows.

    Raises
    ------
    DeclarationError
        If it cannot stop on validation rows.
    """
    for can_stop, fit in METHODS:
        if can_stop(learner):
            fit(learner, rows, patience)
            return
    raise DeclarationError(
        f"training.early_stopping: {type(learner).__name__} cannot stop on validation days. {SUPPORTED}; "
        "leave it out for others."
    )


def rounds_of(learner: Any) -> int | None:
    """Return the number of rounds that a fitted estimator uses; None if it has no rounds."""
    best = getattr(learner, "best_iteration", None)
    if isinstance(best, int):
        # XGBoost counts from 0.
        return best + 1
    for name in ROUND_ATTRIBUTES:
        value = getattr(learner, name, None)
        if isinstance(value, int) and value > 0:
            # CatBoost's best iteration is counted from 0, and its number of trees is that of the best one.
            return int(learner.tree_count_) if hasattr(learner, "tree_count_") else value
    history = getattr(learner, "history", None)
    return len(history) if _is_network(learner) and history else None


def limit_rounds(learner: Any, rounds: int) -> bool:
    """Set the number of rounds of an unfitted estimator; return False if it has no such parameter."""
    parameters = _parameters(learner)
    for name in ROUND_PARAMETERS:
        if name in parameters:
            learner.set_params(**{name: rounds})
            return True
    return False


def shorten(learner: Any, share: float) -> bool:
    """Limit an unfitted estimator to a share of its rounds; return False if their number is not known."""
    parameters = _parameters(learner)
    # Where nothing could stop early, iterations are those of a solver.
    names = [name for name in ROUND_PARAMETERS if name != "max_iter" or "early_stopping" in parameters]
    rounds = next((parameters[name] for name in names if isinstance(parameters.get(name), int)), 0)
    return rounds > 1 and limit_rounds(learner, max(1, round(share * rounds)))


def _fit_boosting_of_sklearn(learner: Any, rows: StoppingRows, patience: int) -> None:
    learner.set_params(early_stopping=True, n_iter_no_change=patience)
    learner.fit(
        rows.rows,
        rows.target,
        X_val=rows.validation_rows,
        y_val=rows.validation_target,
        **rows.weight_argument,
    )


def _fit_lightgbm(learner: Any, rows: StoppingRows, patience: int) -> None:
    from lightgbm import early_stopping

    learner.fit(
        rows.rows,
        rows.target,
        eval_X=(rows.validation_rows,),
        eval_y=(rows.validation_target,),
        callbacks=[early_stopping(patience, verbose=False)],
        **rows.weight_argument,
    )


def _fit_by_argument(learner: Any, rows: StoppingRows, patience: int) -> None:
    """Fit with the patience as an argument of the fit, as CatBoost takes it."""
    learner.fit(rows.rows, rows.target, early_stopping_rounds=patience, **_evaluated(learner, rows))


def _fit_by_parameter(learner: Any, rows: StoppingRows, patience: int) -> None:
    """Fit with the patience as a parameter of the estimator, as XGBoost has it."""
    learner.set_params(early_stopping_rounds=patience)
    learner.fit(rows.rows, rows.target, **_evaluated(learner, rows))
    # A later fit of a clone may have no validation rows.
    learner.set_params(early_stopping_rounds=None)


def _evaluated(learner: Any, rows: StoppingRows) -> dict[str, Any]:
    silence = {"verbose": False} if has_fit_parameter(learner, "verbose") else {}
    validation = [(rows.validation_rows, rows.validation_target)]
    return {"eval_set": validation, **silence, **rows.weight_argument}


def _fit_in_epochs(learner: Any, rows: StoppingRows, patience: int) -> None:
    """Pass over the rows until the validation loss stops falling, and keep the state of the best epoch."""
    # Its own early stopping would choose validation rows at random.
    learner.set_params(early_stopping=False)
    classes = {"classes": np.unique(rows.target)} if is_classifier(learner) else {}
    tolerance = learner.get_params().get("tol") or 0.0
    best_state: dict[str, Any] = {}
    best_loss = np.inf
    best_epoch = 0
    for epoch in range(1, learner.max_iter + 1):
        learner.partial_fit(rows.rows, rows.target, **classes, **rows.weight_argument)
        loss = _validation_loss(learner, rows)
        if loss < best_loss - tolerance:
            best_loss = loss
            best_epoch = epoch
            best_state = copy.deepcopy(vars(learner))
        elif epoch - best_epoch >= patience:
            break
    vars(learner).update(best_state)
    learner.n_iter_ = best_epoch or learner.n_iter_


def _validation_loss(learner: Any, rows: StoppingRows) -> float:
    if is_classifier(learner):
        probabilities = learner.predict_proba(rows.validation_rows)
        return float(log_loss(rows.validation_target, probabilities, labels=learner.classes_))
    return float(mean_squared_error(rows.validation_target, learner.predict(rows.validation_rows)))


def _fit_network(learner: Any, rows: StoppingRows, patience: int) -> None:
    stopping = import_module("skorch.callbacks").EarlyStopping(patience=patience, load_best=True)
    dtype = np.int64 if is_classifier(learner) else np.float32
    target = np.asarray(rows.validation_target, dtype=dtype)
    if not is_classifier(learner):
        target = target.reshape(-1, 1)
    validation = import_module("skorch.dataset").Dataset(rows.validation_rows, target)
    callbacks = [callback for callback in learner.callbacks or [] if callback[0] != "airworthy_stopping"]
    learner.set_params(
        callbacks=[*callbacks, ("airworthy_stopping", stopping)],
        train_split=import_module("skorch.helper").predefined_split(validation),
    )
    learner.fit(rows.rows, rows.target)
    # The validation rows are no part of the model.
    learner.set_params(train_split=None, callbacks=callbacks or None)


def _is_network(learner: Any) -> bool:
    return any(parent.__module__.startswith("skorch.") for parent in type(learner).__mro__)


def _takes(*names: str) -> Callable[[Any], bool]:
    return lambda learner: all(has_fit_parameter(learner, name) for name in names)


def _has_patience(learner: Any) -> bool:
    return has_fit_parameter(learner, "eval_set") and "early_stopping_rounds" in _parameters(learner)


def _has_epochs(learner: Any) -> bool:
    return hasattr(learner, "partial_fit") and {"max_iter", "early_stopping"} <= _parameters(learner).keys()


def _parameters(learner: Any) -> dict[str, Any]:
    return dict(learner.get_params()) if hasattr(learner, "get_params") else {}


# The first method that an estimator has is used.
METHODS: tuple[tuple[Callable[[Any], bool], Callable[[Any, StoppingRows, int], None]], ...] = (
    (_takes("X_val"), _fit_boosting_of_sklearn),
    (_takes("eval_X"), _fit_lightgbm),
    (_takes("eval_set", "early_stopping_rounds"), _fit_by_argument),
    (_has_patience, _fit_by_parameter),
    (_is_network, _fit_network),
    (_has_epochs, _fit_in_epochs),
)
