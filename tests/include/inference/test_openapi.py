from __future__ import annotations

from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from include.inference.model import Interface
from include.inference.openapi import openapi_document
from include.inference.requests.request_keys import NO_KEYS, Keys

INTERFACE = Interface(
    use_case="delay",
    task="binary",
    columns={"carrier": "string", "hour": "long", "temp": "double?", "seen": "datetime?"},
    prediction_range=(0.0, 1.0),
)
ROW = {"carrier": "UA", "hour": 7, "temp": None, "seen": "2013-07-01T12:00:00Z"}


def accepts(document, content, schema: str = "Request") -> bool:
    definitions = {"components": document["components"], "$ref": f"#/components/schemas/{schema}"}
    return bool(Draft202012Validator(definitions).is_valid(content))


def test_the_document_is_valid_openapi() -> None:
    keys = Keys({"flight": "string", "at": "datetime"}, {"hour": ("flight",)})
    for interface_keys in (NO_KEYS, keys):
        document = openapi_document(INTERFACE, 3, interface_keys)
        assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []
    assert document["info"] == {"title": "delay", "version": "3"}


def test_the_schemas_describe_what_is_accepted() -> None:
    document = openapi_document(INTERFACE, 3, NO_KEYS)
    assert accepts(document, {"dataframe_records": [ROW], "params": {}})
    assert accepts(document, {"instances": [list(ROW.values())]})
    assert accepts(document, {"inputs": {name: [value] for name, value in ROW.items()}})
    assert accepts(document, {"dataframe_split": {"columns": list(ROW), "data": [list(ROW.values())]}})
    assert accepts(document, {"predictions": [0.5], "model": {"name": "delay", "version": 3}, "request_id": "a"}, "Predictions")  # fmt: skip  # noqa: E501
    for wrong in (
        ROW | {"hour": None},
        ROW | {"hour": "7"},
        ROW | {"wide": 1},
        {"carrier": "UA"},
    ):
        assert not accepts(document, {"dataframe_records": [wrong]})
    assert not accepts(document, {"dataframe_records": [ROW], "instances": [ROW], "params": 1})


def test_features_that_are_looked_up_are_not_required() -> None:
    keys = Keys({"flight": "string"}, {"hour": ("flight",)})
    row = openapi_document(INTERFACE, 1, keys)["components"]["schemas"]["Row"]
    assert row["required"] == ["carrier"]
    assert row["properties"]["flight"] == {"type": "string"}


def test_several_classes_have_a_probability_each() -> None:
    interface = Interface("band", "multiclass", {"hour": "long"}, (0.0, 1.0), classes=("early", "late"))
    document = openapi_document(interface, 1, NO_KEYS)
    answer = {"predictions": [[0.4, 0.6]], "model": {"name": "band", "version": 1, "classes": ["early", "late"]}, "request_id": "a"}  # fmt: skip  # noqa: E501
    assert accepts(document, answer, "Predictions")
    assert not accepts(document, answer | {"predictions": [0.4]}, "Predictions")


def test_an_unbounded_prediction_has_no_bounds() -> None:
    interface = Interface("cost", "regression", {"hour": "long"}, (0.0, float("inf")))
    schemas = openapi_document(interface, 1, NO_KEYS)["components"]["schemas"]
    assert schemas["Predictions"]["properties"]["predictions"]["items"] == {"type": "number", "minimum": 0.0}
