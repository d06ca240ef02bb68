"""Construction of untrained estimators, with the request-time features of a use case in front."""

from __future__ import annotations

from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Any

from include.catalog import declaration_module
from include.errors import TrainingFailed
from include.modeling.evaluation.estimator_errors import estimator_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

REQUEST_STEP = "request_features"


def estimator_builder(use_case: str) -> Callable[..., Any]:
    """
    Return a function of the parameters that builds the estimator of a use case.

    If the use case's module defines `request_features(frame)`, it is the first step of a pipeline. So it is
    fitted, evaluated, packaged by value and served with the estimator, and runs on the same columns
    everywhere.
    """
    module = declaration_module("use_cases", use_case)
    build: Callable[..., Any] = module.build_model
    function = getattr(module, "request_features", None)
    if function is None:
        return build
    # Functions of the module, which are pickled by value for workers that lack it.
    builder = partial(_build, build, function)
    builder.__signature__ = signature(build)  # type: ignore[attr-defined]
    return builder


def build_estimator(use_case: str, build: Callable[..., Any], parameters: Mapping[str, Any]) -> Any:
    """
    Return the untrained estimator of a use case with these parameters.

    Raises
    ------
    TrainingFailed
        If `build_model()` raises, or returns nothing that can be fitted; the message names file and line.
    """
    action = f"{use_case}: build_model({', '.join(parameters)})"
    remedy = f"Correct include/use_cases/{use_case}.py."
    with estimator_errors(action, remedy=remedy, error=TrainingFailed):
        estimator = build(**parameters)
    if not hasattr(estimator, "fit"):
        raise TrainingFailed(
            f"{action} returns {type(estimator).__name__}, which has no method fit(). {remedy}"
        )
    return estimator


def _build(build_model: Callable[..., Any], function: Callable[[Any], Any], **parameters: Any) -> Any:
    return _with_first_step(build_model(**parameters), function)


def _with_first_step(estimator: Any, function: Callable[[Any], Any]) -> Any:
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer

    first = (REQUEST_STEP, FunctionTransformer(function))
    if isinstance(estimator, Pipeline):
        return Pipeline([first, *estimator.steps], memory=estimator.memory, verbose=estimator.verbose)
    return Pipeline([first, ("model", estimator)])
