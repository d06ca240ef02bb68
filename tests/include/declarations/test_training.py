"""How training, tuning and classes may be declared; a mistake is told with the field's name."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError

from include.catalog import _require_tunable
from include.declarations import (
    Categorical,
    DecisionCost,
    Fairness,
    FinalRefit,
    Integer,
    Label,
    Pruning,
    Real,
    Resources,
    Split,
    Threshold,
    Training,
    Tuning,
    UseCase,
)
from include.declarations.specification import OPERATIONAL_FIELDS
from include.errors import DeclarationError
from include.use_cases.air_time import USE_CASE as AIR_TIME
from include.use_cases.delay_band import USE_CASE as DELAY_BAND
from include.use_cases.flight_delay import USE_CASE

ANY = {"depth": Integer(low=1, high=9)}


def again(declaration, **changes):
    fields = {name: getattr(declaration, name) for name in type(declaration).model_fields}
    return UseCase(**(fields | changes))


def label(**changes):
    return Label(dataset="arrivals", column="arr_delay", **changes)


MISTAKES = {
    "negative seed": (lambda: Training(seed=-1), "seed\n"),
    "no half-life": (lambda: Training(half_life_days=0), "half_life_days\n"),
    "weight of nothing": (lambda: Training(class_weights=(1, 0)), "class_weights"),
    "unknown word": (lambda: Training(class_weights="equal"), "class_weights"),
    "no rounds": (lambda: Training(early_stopping=0), "early_stopping\n"),
    "no window": (lambda: Training(last_days=0), "last_days\n"),
    "window of undated rows": (
        lambda: again(USE_CASE, training=Training(last_days=9), split=Split(by="entity")),
        "training.last_days: rows that are split by entity have no days",
    ),
    "negative margin": (lambda: FinalRefit(margin=-1), "margin\n"),
    "refit of more windows than days": (
        lambda: again(
            USE_CASE,
            training=Training(final_refit=FinalRefit(margin=0, folds=9)),
            split=Split(test_days=7),
        ),
        "training.final_refit.folds: there are fewer test days",
    ),
    "pruning after the last fold": (
        lambda: Tuning(parameters=ANY, folds=2, pruning=Pruning(warmup_folds=1)),
        "pruning.warmup_folds: must be below folds - 1",
    ),
    "pruning between the folds of one": (
        lambda: Tuning(parameters=ANY, folds=1, pruning=Pruning(first_rounds=None)),
        "pruning.first_rounds=None: with folds=1, trials are only compared after their first rounds",
    ),
    "warm-up of one fold": (
        lambda: Tuning(parameters=ANY, folds=1, pruning=Pruning(warmup_folds=1)),
        "pruning.warmup_folds=1: with folds=1",
    ),
    "pruning after the last trial": (
        lambda: Tuning(parameters=ANY, trials=5, pruning=Pruning()),
        "pruning.startup_trials: must be below trials",
    ),
    "range upside down": (lambda: Integer(low=3, high=3), "low 3 must be below high 3"),
    "endless range": (lambda: Real(low=0.1, high=float("inf")), "high\n"),
    "logarithm of nothing": (lambda: Real(low=0, high=1, log=True), "log: low 0.0 must be above 0"),
    "no choice": (lambda: Categorical(values=("a",)), "values\n"),
    "nothing to tune": (lambda: Tuning(parameters={}), "parameters\n"),
    "no trial": (lambda: Tuning(parameters=ANY, trials=0), "trials\n"),
    "no time": (lambda: Tuning(parameters=ANY, timeout=timedelta(0)), "timeout\n"),
    "no fold": (lambda: Tuning(parameters=ANY, folds=0), "folds\n"),
    "no address": (lambda: Tuning(parameters=ANY, dask="scheduler:8786"), "dask\n"),
    "metric of another task": (
        lambda: again(USE_CASE, tuning=Tuning(parameters=ANY, metric="mae")),
        "tuning.metric of a binary task: unknown mae",
    ),
    "weights of a regression": (
        lambda: again(AIR_TIME, training=Training(class_weights="balanced")),
        "a regression has no classes",
    ),
    "weights of other classes": (
        lambda: again(DELAY_BAND, training=Training(class_weights=(1, 2))),
        "one weight for each of the 3 classes",
    ),
    "early stopping on nothing": (
        lambda: again(USE_CASE, training=Training(early_stopping=5), split=Split(validation_days=0)),
        "needs split.validation_days",
    ),
    "early stopping on no share": (
        lambda: again(
            USE_CASE, training=Training(early_stopping=5), split=Split(by="entity", validation_share=0)
        ),
        "needs split.validation_share",
    ),
    "days of a split by entity": (
        lambda: Split(by="entity", test_days=7),
        "test_days: not for a split by entity",
    ),
    "seed of a split by time": (lambda: Split(seed=3), "seed: not for a split by time"),
    "no training rows": (
        lambda: Split(by="entity", validation_share=0.5, test_share=0.5),
        "leave no rows to train on",
    ),
    "age of undated rows": (
        lambda: again(USE_CASE, training=Training(half_life_days=9), split=Split(by="entity")),
        "training.half_life_days: rows that are split by entity have no age",
    ),
    "one random fold": (
        lambda: again(USE_CASE, tuning=Tuning(parameters=ANY, folds=1), split=Split(by="entity")),
        "tuning.folds: rows that are split by entity need two",
    ),
    "two of several classes": (
        lambda: again(DELAY_BAND, label=label(classes=("a", "b"))),
        "needs three or more",
    ),
    "classes of a regression": (
        lambda: again(AIR_TIME, label=label(classes=("a", "b", "c"))),
        "label.classes: a regression task has none",
    ),
    "a gate about one number": (
        lambda: again(
            DELAY_BAND, gates=(Fairness(column="carrier", metrics=("accuracy",), maximum_gap=0.1),)
        ),
        "fairness_carrier: needs one number per row",
    ),
    "a cost of two decisions": (
        lambda: again(DELAY_BAND, cost=DecisionCost(currency="USD", false_positive=1, false_negative=2)),
        "cost: DecisionCost is not for a multiclass task",
    ),
    "a measure of two classes": (
        lambda: again(DELAY_BAND, gates=(Threshold(metric="brier", maximum=0.2),)),
        "metric of a multiclass task: unknown brier",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_its_field(mistake):
    declare, message = MISTAKES[mistake]
    with pytest.raises(ValidationError, match=message):
        declare()


def test_what_is_tuned_must_be_taken_with_a_default():
    def build(*, depth=3, wide):
        return depth, wide

    _require_tunable(build, {"depth": 1})
    for name in ("dept", "wide"):
        with pytest.raises(
            DeclarationError, match=f"tuning.parameters.*{name!r} does not exist; there are depth"
        ):
            _require_tunable(build, {name: 1})


def test_split_is_described_in_words():
    assert Split(by="entity").describe("customer_id") == (
        "split at random by customer_id, seed 0: 15% validation, 20% test"
    )
    assert Split().describe("flight_id") == "split by time: the last 14 days test, 14 validation"


def test_limits_are_in_the_units_of_kubernetes():
    resources = Resources(cpu=1.5, memory_mb=4_000, gpu=2)
    assert resources.pod_limits == {"cpu": "1500m", "memory": "4000M", "nvidia.com/gpu": "2"}
    assert Resources(gpu=1, gpu_resource="amd.com/gpu").pod_limits == {"amd.com/gpu": "1"}
    assert Resources(queue="big").pod_limits == {}


@pytest.mark.parametrize(
    "field", [{"cpu": 0}, {"memory_mb": -1}, {"gpu": -1}, {"queue": ""}, {"pool_slots": 0}]
)
def test_impossible_resources_are_refused(field):
    with pytest.raises(ValidationError):
        Resources(**field)


def test_resources_are_no_part_of_a_specification():
    assert "resources" in OPERATIONAL_FIELDS
