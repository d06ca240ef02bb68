from __future__ import annotations

from datetime import date

import pytest

from include.catalog import catalog
from include.declarations import GoldenCase, GoldenPredictions, Robustness
from include.declarations.experiments import Experiment, feature_choices, parameter_schema
from include.errors import DeclarationError
from include.use_cases.delay_band import USE_CASE as DELAY_BAND
from include.use_cases.delay_band import build_model
from include.use_cases.flight_delay import USE_CASE as FLIGHT_DELAY


def test_run_without_the_mark_is_no_experiment():
    assert Experiment.of({"experiment": False, "features": None, "parameters": {}}) is None
    assert Experiment.of({}) is None


@pytest.mark.parametrize("change", [{"features": ["hour"]}, {"parameters": {"a": 1}}, {"first_day": "x"}])
def test_change_without_the_mark_is_refused(change):
    with pytest.raises(DeclarationError, match=f"{next(iter(change))}: .* `experiment: true`"):
        Experiment.of(change)


def test_experiment_has_its_changes():
    params = {
        "experiment": True,
        "parameters": {"leaves": 7},
        "features": ["hour"],
        "first_day": "2013-02-01",
    }
    experiment = Experiment.of(params)
    assert experiment == Experiment({"leaves": 7}, ("hour",), date(2013, 2, 1))
    assert (
        experiment.to_json()
        == '{"parameters": {"leaves": 7}, "features": ["hour"], "first_day": "2013-02-01"}'
    )
    assert Experiment.of({"experiment": True}).to_json() == "{}"


def test_gates_on_dropped_features_are_dropped():
    case = GoldenCase(name="calm", row=dict.fromkeys(FLIGHT_DELAY.features, 1), maximum=0.5)
    declared = FLIGHT_DELAY.model_copy(
        update={"gates": (*FLIGHT_DELAY.gates, GoldenPredictions(cases=(case,)))}
    )
    features = tuple(name for name in declared.features if name != "rain")
    experiment = Experiment(features=features)
    dropped = {gate.name for gate in declared.gates if isinstance(gate, GoldenPredictions | Robustness)}
    assert set(experiment.dropped_gates(declared)) == dropped
    changed = experiment.changed(declared)
    assert changed.features == features
    assert {gate.name for gate in declared.gates} - {gate.name for gate in changed.gates} == dropped
    assert Experiment(parameters={"a": 1}).changed(declared) is declared


def test_repeated_feature_is_refused():
    with pytest.raises(DeclarationError, match=r"flight_delay: .*hour named more than once"):
        Experiment(features=("hour", "hour")).changed(FLIGHT_DELAY)


def test_tuned_parameters_have_their_range():
    schema = parameter_schema(build_model, DELAY_BAND.tuning)
    assert schema["properties"]["leaves"] == {"type": "integer", "minimum": 7, "maximum": 63}
    assert schema["properties"]["share_of_features"] == {"type": "number", "minimum": 0.4, "maximum": 1}
    assert schema["additionalProperties"] is False


def test_other_parameters_have_the_type_of_their_default():
    def build(required, *, depth=3, rate=0.1, fast=True, name="a", anything=None, **more):
        pass

    schema = parameter_schema(build, None)
    types = {name: value.get("type") for name, value in schema["properties"].items()}
    assert types == {
        "depth": "integer",
        "rate": "number",
        "fast": "boolean",
        "name": "string",
        "anything": None,
    }
    assert schema["additionalProperties"] is True


def test_feature_choices_are_columns_but_keys_and_times():
    choices = feature_choices(FLIGHT_DELAY, catalog().feature_views)
    assert choices[: len(FLIGHT_DELAY.features)] == list(FLIGHT_DELAY.features)
    assert not {"flight_id", "station", "scheduled_departure", "online_from"} & set(choices)
    others = feature_choices(DELAY_BAND.model_copy(update={"features": ("hour",)}), catalog().feature_views)
    assert "distance" in others
