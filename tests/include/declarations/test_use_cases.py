from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from include.catalog import catalog
from include.declarations import (
    Calibration,
    InjectedAnomalies,
    Label,
    Leakage,
    Serving,
    Slo,
    Threshold,
    Training,
    UseCase,
)
from include.declarations.specification import Specification

ANOMALY = {
    "name": "odd_weather", "owner": "a", "description": "d", "task": "anomaly", "metric": "roc_auc",
    "feature_view": "flight_features", "features": ("distance", "hour"), "contamination": 0.02,
    "prediction_range": (-1, 1),
}  # fmt: skip
BINARY = ANOMALY | {
    "task": "binary", "contamination": None, "gates": (Threshold(metric="roc_auc", minimum=0.6),),
    "label": Label(dataset="arrivals", column="arr_delay", above=15),
}  # fmt: skip


def test_anomaly_task_needs_no_label_and_no_gate():
    use_case = UseCase(**ANOMALY)
    assert use_case.label.is_absent
    assert (use_case.class_names, use_case.gates) == ((), ())
    assert use_case.label.description == "rows of flight_features, without a label"
    assert not UseCase(**BINARY).label.is_absent


def test_anomaly_task_can_be_written_and_read():
    use_case = UseCase(**ANOMALY)
    declared = catalog()
    specification = Specification.of(use_case, declared.feature_views, declared.datasets)
    content = json.loads(json.dumps(specification.model_dump(mode="json"), sort_keys=True))
    assert Specification.read(content) == specification
    assert specification.availability.embargo_days == 0
    assert UseCase.model_validate(use_case.model_dump(mode="json")) == use_case


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": Label(dataset="arrivals", column="arr_delay")}, "label: an anomaly task has none"),
        ({"contamination": None}, "contamination: declare the share"),
        ({"contamination": 0.6}, "less than or equal to 0.5"),
        ({"metric": "log_loss"}, "unknown log_loss"),
        ({"training": Training(early_stopping=5)}, "training.early_stopping: not for an anomaly task"),
        ({"serving": Serving(runtime="onnx")}, "serving.runtime onnx: not for an anomaly task"),
        ({"gates": (Leakage(maximum=0.9),)}, "leakage: needs a label"),
        ({"gates": (Calibration(maximum_error=0.1),)}, "calibration: needs a label"),
        ({"slo": Slo(label_coverage=0.9)}, "slo: label_coverage and quality need a label"),
        ({"slo": Slo(quality=0.6)}, "slo: label_coverage and quality need a label"),
    ],
)
def test_anomaly_task_refuses_what_needs_a_label(changes, message):
    with pytest.raises(ValidationError, match=message):
        UseCase(**ANOMALY | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": Label.absent("flight_features")}, "label: a binary task needs one"),
        ({"contamination": 0.1}, "contamination: only for an anomaly task"),
        ({"gates": (InjectedAnomalies(),)}, "injected_anomalies: only for an anomaly task"),
    ],
)
def test_other_tasks_refuse_what_is_for_anomalies(changes, message):
    with pytest.raises(ValidationError, match=message):
        UseCase(**BINARY | changes)


def test_task_without_its_label_is_refused():
    values = {name: value for name, value in BINARY.items() if name != "label"}
    with pytest.raises(ValidationError, match="label: a binary task needs one"):
        UseCase(**values)
