"""Serving: the runtime and the size limit of a model."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from include.declarations.base import Declaration
from include.declarations.fallback import Fallback

Module = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")]


class Serving(Declaration):
    """
    Runtime of the model server: `python` serves the estimator, `onnx` an ONNX graph that is exported from it.

    Training fails if the graph's prediction differs from the estimator's by more than `tolerance`, in the
    unit of the prediction, or if the package is larger than `maximum_megabytes`.

    A request with a column that is no feature is refused, or with `unknown_columns="ignore"` answered without
    it, so that callers can send a new feature before the version that takes it.

    With `decision`, an answer has a decision beside each prediction, and batch scoring a column of it. It
    needs the `cost` of the use case: the decision is the one that costs least, by a rule that is chosen on
    the validation rows and packaged with the model.

    With `compiled`, the package has a compiled twin of the estimator, where one agrees with it: within 1e-9
    of the largest prediction, or within `tolerance` if the twin computes in single precision.

    When a model server starts, `other_packages` says what follows if installed packages are not those of the
    training, and `other_predictions` what follows if the golden rows are predicted differently.

    `fallback` is what callers get while the model is switched off.

    `replicas` model servers run for each version that is served, and the gateway spreads the requests over
    them: each is a process with its own copy of the model.
    """

    runtime: Literal["python", "onnx"] = "python"
    tolerance: float = Field(default=1e-5, gt=0)
    maximum_megabytes: float = Field(default=500, gt=0)
    decision: bool = False
    unknown_columns: Literal["refuse", "ignore"] = "refuse"
    other_packages: Literal["refuse", "warn"] = "warn"
    other_predictions: Literal["refuse", "warn"] = "refuse"
    compiled: bool = True
    fallback: Fallback = Fallback()
    replicas: int = Field(default=1, ge=1)
