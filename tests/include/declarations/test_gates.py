"""Limits of gates: one that no value can pass, or that no value can fail, is refused."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from pydantic import ValidationError

from include.declarations import (
    AnyGate,
    Budget,
    BusinessValue,
    Calibration,
    ClassCost,
    DecisionCost,
    DriftPolicy,
    ErrorCost,
    Fairness,
    FlaggedShare,
    GoldenCase,
    GoldenPredictions,
    Improvement,
    InjectedAnomalies,
    Label,
    Leakage,
    NonInferiority,
    Overfitting,
    Robustness,
    Rollout,
    Slo,
    Threshold,
    UseCase,
)

BINARY: dict[str, Any] = {
    "name": "late", "owner": "a", "description": "d", "task": "binary", "metric": "roc_auc",
    "feature_view": "flight_features", "features": ("distance", "hour"), "prediction_range": (0, 1),
    "label": Label(dataset="arrivals", column="arr_delay", above=15),
    "cost": DecisionCost(currency="USD", false_positive=2, false_negative=5, benefit_true_positive=1),
}  # fmt: skip
REGRESSION = BINARY | {
    "task": "regression", "metric": "rmse", "prediction_range": (0, 50), "cost": None,
    "label": Label(dataset="arrivals", column="arr_delay"),
}  # fmt: skip
ANOMALY = BINARY | {
    "task": "anomaly", "contamination": 0.02, "prediction_range": (-1, 1),
    "cost": None,
}  # fmt: skip
del ANOMALY["label"]
NOISE = {"distance": 1.0}
ROW = {"distance": 1.0, "hour": 6}


def golden(**bounds: float) -> GoldenPredictions:
    return GoldenPredictions(cases=(GoldenCase(name="calm", row=ROW, **bounds),))


def threshold(metric: str):
    return lambda **bounds: Threshold(metric=metric, **bounds)


def fairness(*metrics: str):
    return lambda gap: Fairness(column="hour", metrics=metrics, maximum_gap=gap)


# The use case, a gate of one limit, a limit that can decide something, one that cannot, and the message.
EXTREMES = {
    "area of all": (BINARY, threshold("roc_auc"), {"minimum": 0.001}, {"minimum": 0.0}, "minimum=0:"),
    "correlation of all": (
        BINARY, threshold("matthews_corrcoef"), {"minimum": -0.99}, {"minimum": -1}, "minimum=-1:",
    ),
    "interval of all": (
        BINARY, threshold("f1"), {"minimum": 0.1, "maximum": 1}, {"minimum": 0, "maximum": 1},
        "minimum=0, maximum=1: f1 is from 0 to 1, so the gate can never fire: declare a narrower bound",
    ),
    "squared error of all": (
        BINARY, threshold("brier"), {"maximum": 0.99}, {"maximum": 1}, "maximum=1: brier is from 0 to 1",
    ),
    "loss of all": (BINARY, threshold("log_loss"), {"maximum": 36}, {"maximum": 37}, "maximum=37: log_loss"),
    "gain of all": (
        BINARY, lambda gain: Improvement(metric="brier", minimum_gain=gain), 0.99, 1, "declare a smaller",
    ),
    "overfitting of all": (
        BINARY, lambda gap: Overfitting(metric="brier", maximum_gap=gap), 0.99, 1,
        "maximum_gap=1: no two values of brier differ by more than 1, so the gate can never fire",
    ),
    "calibration of all": (
        BINARY, lambda error: Calibration(maximum_error=error), 0.99, 1,
        "maximum_error=1: the error of a probability is at most 1, so the gate can never fire",
    ),
    "slices of all": (BINARY, fairness("brier"), 0.99, 1, "differ by more than 1 in brier"),
    "one of two metrics": (
        BINARY, fairness("log_loss", "selection_rate"), 0.99, 1, "differ by more than 1 in selection_rate",
    ),
    "all flips": (
        BINARY, lambda flips: Robustness(noise=NOISE, maximum_flips=flips), 0.99, 1,
        "no share is above 1, so the check can never fire: declare less than 1",
    ),
    "flips without noise": (
        BINARY, lambda flips: Robustness(missing=("hour",), maximum_flips=flips), 0.05, 0.1,
        "maximum_flips=0.1: only noise is judged by flips",
    ),
    "tolerance without noise": (
        REGRESSION, lambda tolerance: Robustness(missing=("hour",), tolerance=tolerance), None, 1,
        "tolerance=1: only noise is judged by flips",
    ),
    "tolerance of a decision": (
        BINARY, lambda tolerance: Robustness(noise=NOISE, tolerance=tolerance), None, 0.1,
        "tolerance=0.1: a flip of a binary task is another decision",
    ),
    "tolerance of all": (
        REGRESSION, lambda tolerance: Robustness(noise=NOISE, tolerance=tolerance), 49, 50,
        "tolerance=50: no two predictions in prediction_range differ by more than 50",
    ),
    "loss of the whole metric": (
        BINARY, lambda loss: Robustness(missing=("hour",), maximum_loss=loss), 0.99, 1,
        "maximum_loss=1: no two values of roc_auc differ by more than 1",
    ),
    "all features exempt": (
        BINARY, lambda exempt: Leakage(maximum=0.9, exempt=exempt), ("hour",), ("hour", "distance"),
        "these are all features, so maximum=0.9 can never fire",
    ),
    "any golden prediction": (
        BINARY, lambda maximum: golden(minimum=0, maximum=maximum), 0.99, 1,
        "predictions lie in 0 to 1, and all pass 0 to 1, so the case can never fail",
    ),
    "no golden prediction": (
        BINARY, lambda minimum: golden(minimum=minimum), 1, 1.1, "and none passes 1.1 to",
    ),
    "any saving": (
        BINARY, lambda saving: BusinessValue(minimum_per_thousand=saving), -5_999, -6_000,
        "minimum_per_thousand=-6000: two decisions about 1,000 rows differ by at most 6000",
    ),
    "no saving": (
        BINARY, lambda saving: BusinessValue(minimum_per_thousand=saving), 5_999, 6_000, "nothing can pass",
    ),
    "all days unstable": (
        ANOMALY, lambda days: FlaggedShare(maximum_unstable_days=days), 0.99, 1, "declare less than 1",
    ),
    "any share flagged": (
        ANOMALY, lambda ratio: FlaggedShare(maximum_ratio=ratio), 100, 101, "less than or equal to 100",
    ),
}  # fmt: skip


def declare(use_case: dict[str, Any], gate: Any, value: Any) -> UseCase:
    built = gate(**value) if isinstance(value, dict) else gate(value)
    return UseCase(**use_case | {"gates": (built,)})


@pytest.mark.parametrize("name", EXTREMES)
def test_limit_that_decides_nothing_is_refused(name):
    use_case, gate, possible, impossible, message = EXTREMES[name]
    declare(use_case, gate, possible)
    with pytest.raises(ValidationError, match=message):
        declare(use_case, gate, impossible)


# Numbers of gates that are no limits, and limits that some value passes and some fails wherever they are.
UNLIMITED = {
    # Any day may take longer, and any model be larger.
    Budget: {name for name in Budget.model_fields if name.startswith("maximum_")},
    # A part of what the champion has, and less than all of it.
    NonInferiority: {"margin"},
    # The smaller value of two may be 0.
    Fairness: {"minimum_ratio", "minimum_support", "bins"},
    Robustness: {"rows"},
    Calibration: {"bins"},
    # From above 0 to 1, and the share of flagged anomalies may be 0.
    InjectedAnomalies: {"minimum_recall"},
}


def test_table_has_every_limit_of_every_gate():
    built = [(gate, possible) for _, gate, possible, _, _ in EXTREMES.values()]
    gates = [gate(**value) if isinstance(value, dict) else gate(value) for gate, value in built]
    covered: set[tuple[type, str]] = set()
    for gate in gates:
        covered.update((type(gate), name) for name in gate.model_fields_set)
    missing = []
    for gate_class in get_args(get_args(AnyGate)[0]):
        for name, field in gate_class.model_fields.items():
            is_number = {int, float} & {field.annotation, *get_args(field.annotation)}
            is_other = name == "confidence" or name in UNLIMITED.get(gate_class, set())
            if is_number and not is_other and (gate_class, name) not in covered:
                missing.append(f"{gate_class.__name__}.{name}")
    assert missing == []


def test_brier_of_other_scores_has_other_bounds():
    wide = BINARY | {"prediction_range": (-1, 1)}
    declare(wide, threshold("brier"), {"maximum": 3.9})
    declare(wide, lambda error: Calibration(maximum_error=error), 1)
    declare(REGRESSION, lambda error: Calibration(maximum_error=error), 1)
    with pytest.raises(ValidationError, match="maximum=4: brier is from 0 to 4"):
        declare(wide, threshold("brier"), {"maximum": 4})


def test_saving_of_amounts_by_row_has_no_bounds():
    by_row = DecisionCost(currency="USD", false_positive="distance", false_negative=1)
    by_error = ErrorCost(currency="USD", over=1, under=1)
    assert (by_row.largest_difference, by_error.largest_difference) == (None, None)
    costs = {"a": {"b": 2, "c": 1}, "b": {"a": 1, "c": 7}, "c": {"a": 1, "b": 1}}
    assert ClassCost(currency="USD", costs=costs).largest_difference == 7
    declare(BINARY | {"cost": by_row}, lambda saving: BusinessValue(minimum_per_thousand=saving), 1e9)


@pytest.mark.parametrize(
    "name",
    ["maximum_error_rate", "maximum_prediction_shift", "maximum_distribution_shift", "maximum_loss_increase"],
)
def test_rollout_that_cannot_fail_is_refused(name):
    Rollout(**{name: 0.99})
    with pytest.raises(ValidationError, match=rf"{name}\n.*no share is above 1, so the check can never fire"):
        Rollout(**{name: 1})


def test_policy_that_always_or_never_fires_is_refused():
    with pytest.raises(
        ValidationError, match=r"columns_share\n.*inputs without drift would count as drifted"
    ):
        DriftPolicy(columns_share=0)
    with pytest.raises(ValidationError, match=r"availability\n.*so it can never fire; promise a share"):
        Slo(availability=0)
