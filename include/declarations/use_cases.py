"""What a team declares of one model."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from include.declarations.base import Declaration, Name, Share, known, unique
from include.declarations.gates import METRICS, AnyGate, Metric, Task
from include.declarations.release import Rollout
from include.declarations.watch import DriftPolicy, RetrainPolicy, Slo


class Label(Declaration):
    """
    What is predicted: a column of a dataset that lands later, or whether it exceeds `above`.

    A day is learnt from once `minimum_completeness` of its rows have their label.
    """

    dataset: Name
    column: str
    above: float | None = None
    minimum_completeness: Share = 0.9


class Split(Declaration):
    """
    Days at the end of the data, in time order: train < validation < test.

    `embargo_days` are left out before validation and before test: on the first of those days the labels of
    the last days before were not known yet. By default as many as the label lags.
    """

    validation_days: int = Field(default=14, ge=0)
    test_days: int = Field(default=14, ge=1)
    embargo_days: int | None = Field(default=None, ge=0)
    minimum_rows: int = Field(default=1_000, ge=1)


class UseCase(Declaration):
    """One model, from its features to its callers; its module has `build_model()`, an untrained estimator."""

    name: Name
    owner: str
    description: str
    task: Task
    feature_view: Name
    features: tuple[str, ...] = Field(min_length=1)
    label: Label
    metric: Metric
    gates: tuple[AnyGate, ...] = Field(min_length=1)
    prediction_range: tuple[float, float]
    split: Split = Split()
    rollout: Rollout = Rollout()
    drift: DriftPolicy = DriftPolicy()
    retrain: RetrainPolicy = RetrainPolicy()
    slo: Slo = Slo()

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        unique(self.features, "features")
        for metric in (self.metric, *(gate.metric for gate in self.gates)):
            known([metric], METRICS[self.task], f"metric of a {self.task}")
        if self.task == "classification" and self.label.above is None:
            raise ValueError("label.above: a classifier needs the value above which the label is true")
        if self.prediction_range[0] >= self.prediction_range[1]:
            raise ValueError(f"prediction_range {self.prediction_range} is empty")
        return self
