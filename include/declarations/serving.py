"""Serving: the runtime and the size limit of a model, and where its versions are served."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from include.declarations.base import Declaration, Duration
from include.declarations.fallback import Fallback

Module = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")]


class SageMaker(Declaration):
    """
    An endpoint of Amazon SageMaker, with one variant for each version.

    `image` is the address of the image `model_server` in ECR, and `role` the ARN of the role that SageMaker
    runs it with, which may read `packages`: the S3 folder that packages are copied to. `replicas` instances
    of `instance_type` run for each version. Rollouts wait at most `patience` until the endpoint was changed.

    Credentials come from the environment of the process (boto3's default chain), and so does the region,
    unless it is given.
    """

    kind: Literal["sagemaker"] = "sagemaker"
    image: str = Field(min_length=1)
    role: str = Field(pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/.+$")
    instance_type: str = Field(pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$")
    packages: str = Field(pattern=r"^s3://[a-z0-9.-]+(/.+)?$")
    region: str | None = None
    patience: Duration = timedelta(minutes=30)


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

    `target` says where versions are served: `local`, behind the gateway of this project, or `SageMaker(…)`.

    Requests stay in the database for `log_days` days, and longer if monitoring reads them; older days are
    exported to the lake and deleted.
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
    log_days: int = Field(default=90, ge=1)
    replicas: int = Field(default=1, ge=1)
    target: Literal["local"] | SageMaker = "local"

    def patience(self, local: timedelta) -> timedelta:
        """Return how long a change of what is served may take, given that of the local target."""
        return local if self.target == "local" else self.target.patience

    @model_validator(mode="after")
    def _has_fallback_of_target(self) -> Self:
        if self.target != "local" and self.fallback.kind in {"constant", "baseline"}:
            raise ValueError(
                f"fallback: SageMaker cannot answer a {self.fallback.kind}; use `unavailable`, which deletes "
                "the endpoint, or `previous`"
            )
        return self
