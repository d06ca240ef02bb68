from __future__ import annotations

import json
from dataclasses import replace

import pytest

from include import specifications
from include.catalog import catalog
from include.declarations import Threshold
from include.declarations.specification import Specification
from include.errors import DataError
from include.specifications import certified_specification, declared_specification

DECLARED = catalog()
FLIGHT_DELAY = DECLARED.use_cases["flight_delay"]


def specified(**changes):
    return declared_specification(FLIGHT_DELAY.model_copy(update=changes))


@pytest.mark.parametrize("name", sorted(DECLARED.use_cases))
def test_specification_travels_as_json(name):
    specification = declared_specification(DECLARED.use_cases[name])
    text = json.dumps(specification.model_dump(mode="json"), sort_keys=True)
    read = Specification.read(json.loads(text))
    assert read == specification
    assert list(read.selection.origins) == list(specification.selection.origins)
    assert read.digest == specification.digest


def test_use_case_that_todays_rules_refuse_can_be_read():
    content = specified().model_dump(mode="json")
    content["use_case"]["prediction_range"] = [1, 0]
    content["use_case"]["gates"].append({"kind": "of_yesterday"})
    content["use_case"]["field_of_yesterday"] = 1
    read = Specification.read(content)
    assert read.use_case.prediction_range == (1, 0)
    assert read.use_case.gates == FLIGHT_DELAY.gates
    assert read.use_case.label == FLIGHT_DELAY.label


@pytest.mark.parametrize(("name", "value"), [("version", 2), ("selection", {}), ("use_case", {"label": 3})])
def test_specification_of_another_format_is_named(name, value):
    content = specified().model_dump(mode="json") | {name: value}
    with pytest.raises(DataError, match=r"specification of the version cannot be read"):
        Specification.read(content)


def test_digest_ignores_what_makes_no_other_model():
    base = specified().digest
    assert specified(owner="else", description="another").digest == base
    assert specified(drift=FLIGHT_DELAY.drift.model_copy(update={"window_days": 99})).digest == base
    assert specified().with_missing({"carrier"}).digest == base
    assert specified(gates=(Threshold(metric="roc_auc", minimum=0.9),)).digest != base


def test_digest_ignores_descriptions_of_views_and_columns():
    specification = specified()
    content = specification.model_dump(mode="json")
    for view in content["selection"]["views"]:
        view["owner"] = "else"
        for column in view["columns"]:
            column["description"] = "another"
    for column in content["selection"]["columns"].values():
        column["description"] = "another"
    assert Specification.read(content).digest == specification.digest
    content["selection"]["columns"]["distance"]["dtype"] = "integer"
    assert Specification.read(content).digest != specification.digest


def test_column_of_a_dataset_that_is_personal_today_is_protected():
    specification = specified()
    selection = specification.selection
    spine = replace(selection.spine, table="flights")
    origins = {**selection.origins, "carrier": selection.origins["carrier"]._replace(table="flights")}
    sent = specification.model_copy(update={"selection": replace(selection, spine=spine, origins=origins)})
    columns = tuple(
        column.model_copy(update={"personal": column.name == "carrier"})
        for column in DECLARED.datasets["flights"].columns
    )
    flights = DECLARED.datasets["flights"].model_copy(update={"columns": columns})
    today = replace(DECLARED, datasets={**DECLARED.datasets, "flights": flights})
    protected = specifications._with_personal(sent, today)
    assert protected.selection.columns["carrier"].personal
    assert not protected.selection.columns["distance"].personal


def test_policies_of_release_and_monitoring_are_todays():
    slo = FLIGHT_DELAY.slo.model_copy(update={"availability": 0.5})
    today = FLIGHT_DELAY.model_copy(update={"slo": slo, "features": FLIGHT_DELAY.features[1:]})
    governed = specified().governed_by(today)
    assert governed.slo == slo
    assert governed.features == FLIGHT_DELAY.features


def test_replicas_are_no_part_of_a_specification():
    serving = FLIGHT_DELAY.serving.model_copy(update={"replicas": 4})
    assert specified(serving=serving).digest == specified().digest
    governed = specified().governed_by(FLIGHT_DELAY.model_copy(update={"serving": serving}))
    assert governed.serving.replicas == 4


def test_differences_name_the_changed_fields():
    assert specified().differences(specified()) == {}
    changed = specified().differences(specified(features=FLIGHT_DELAY.features[1:]))
    assert set(changed) == {"features", "types of features", "origins of features"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"features": FLIGHT_DELAY.features[1:]}, ""),
        (
            {"label": FLIGHT_DELAY.label.model_copy(update={"above": 30.0})},
            "the label was arrivals",
        ),
        (
            {"label": FLIGHT_DELAY.label.model_copy(update={"column": "air_time"})},
            "the label was arrivals",
        ),
        ({"task": "regression"}, "the task was binary"),
    ],
)
def test_other_predictions_are_incomparable(changes, reason):
    assert specified(**changes).incomparable(specified()).startswith(reason)


def test_old_certificate_is_read_as_declared():
    read = certified_specification({"digest": "…"}, FLIGHT_DELAY)
    assert read == specified()
    assert (
        certified_specification({}, FLIGHT_DELAY, FLIGHT_DELAY.features[:2]).features
        == (FLIGHT_DELAY.features[:2])
    )


def test_certified_specification_is_not_todays():
    frozen = specified(features=FLIGHT_DELAY.features[:3])
    snapshot = {"specification": frozen.model_dump(mode="json")}
    assert certified_specification(snapshot, FLIGHT_DELAY) == frozen
