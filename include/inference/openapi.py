"""The OpenAPI description of a use case's endpoints, from the signature of a version."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from include.feature_values import base_kind, may_be_missing
from include.inference.requests.request_body import MAX_BODY_BYTES
from include.inference.scoring_protocol import MAX_ROWS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.feature_values import ColumnType
    from include.inference.model import Interface
    from include.inference.requests.request_keys import Keys

_SCHEMAS: dict[str, dict[str, Any]] = {
    "boolean": {"type": "boolean"},
    "integer": {"type": "integer", "format": "int32"},
    "long": {"type": "integer", "format": "int64"},
    "float": {"type": "number", "format": "float"},
    "double": {"type": "number", "format": "double"},
    "string": {"type": "string"},
    "datetime": {"type": "string", "format": "date-time"},
}
_REFUSALS = {
    "400": "The request is not valid; the message names the column and the row.",
    "404": "There is no such model, or an entity is not online.",
    "413": f"The body has more than {MAX_BODY_BYTES} bytes, or more than {MAX_ROWS} rows.",
    "415": "The Content-Type or the Content-Encoding is not supported.",
    "422": "A value that was looked up by a key is not valid; send a value of your own.",
    "429": "Too many requests wait; try again after Retry-After seconds.",
    "500": "The model failed.",
    "503": "The model cannot answer now; try again after Retry-After seconds.",
    "504": "The model did not answer in time.",
}
_REQUEST_ID = {
    "name": "X-Request-Id",
    "in": "header",
    "schema": {"type": "string", "maxLength": 128},
    "description": "Id of the request, which the response repeats; one is made without it.",
}
_ENTITY_ID = {
    "name": "X-Entity-Id",
    "in": "header",
    "schema": {"type": "string"},
    "description": "Entity of the request, which stays on one side while a new version is released.",
}


def openapi_document(interface: Interface, version: int, keys: Keys) -> dict[str, Any]:
    """
    Return the OpenAPI 3.1 document of a use case.

    Parameters
    ----------
    interface
        Features and predictions of the version that answers.
    version
        The version, which is also that of the document.
    keys
        Columns that may be sent instead of features, which are looked up by them then.
    """
    name = interface.use_case
    responses = {"200": _json_content("The predictions, in the order of the rows.", "Predictions")}
    responses |= {status: _json_content(text, "Error") for status, text in _REFUSALS.items()}
    operation = {
        "operationId": f"predict_{name}",
        "summary": f"Predictions of {name}, by MLflow's scoring protocol.",
        "parameters": [_REQUEST_ID, _ENTITY_ID],
        "requestBody": {
            "required": True,
            "description": "JSON or CSV in UTF-8; with Content-Encoding gzip, compressed.",
            "content": {
                "application/json": {"schema": _schema_reference("Request")},
                "text/csv": {"schema": {"type": "string", "description": "The first line names columns."}},
            },
        },
        "responses": responses,
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": name, "version": str(version)},
        "paths": {f"/models/{name}/invocations": {"post": operation}},
        "components": {"schemas": _components(interface, keys)},
    }


def _components(interface: Interface, keys: Keys) -> dict[str, Any]:
    """Return the schemas of rows, requests, predictions and errors."""
    row = _row_schema(interface, keys)
    table = {"type": "array", "minItems": 1, "maxItems": MAX_ROWS}
    cells = {"type": "array", "items": {}}
    split = _object_of(
        columns={"type": "array", "items": {"enum": list(row["properties"])}},
        data=table | {"items": cells},
    )
    split["properties"]["index"] = {"type": "array"}
    by_column = {column: {"type": "array", "items": schema} for column, schema in row["properties"].items()}
    rows = table | {"items": _schema_reference("Row")}
    forms = {
        "dataframe_records": rows,
        "dataframe_split": split,
        "instances": {"anyOf": [rows, table | {"items": cells}]},
        "inputs": {"anyOf": [{"type": "object", "properties": by_column}, rows]},
    }
    params = {"type": ["object", "null"], "description": "Taken as by MLflow, and ignored."}
    request = {
        "oneOf": [_object_of(**{form: schema}) for form, schema in forms.items()],
        "properties": {"params": params},
    }
    error = _object_of(
        error_code={"type": "string"}, message={"type": "string"}, request_id={"type": "string"}
    )
    return {"Row": row, "Request": request, "Predictions": _predictions_schema(interface), "Error": error}


def _row_schema(interface: Interface, keys: Keys) -> dict[str, Any]:
    """Return the schema of one row: its features, and the keys by which they are looked up."""
    columns = interface.columns
    key_columns = {name: _column_schema(kind) for name, kind in keys.kinds.items() if name not in columns}
    required = [
        name for name, kind in columns.items() if not may_be_missing(kind) and name not in keys.features
    ]
    return {
        "type": "object",
        "properties": _column_schemas(columns) | key_columns,
        "required": required,
        "additionalProperties": interface.ignores_unknown,
    }


def _column_schemas(columns: Mapping[str, ColumnType]) -> dict[str, dict[str, Any]]:
    return {name: _column_schema(kind) for name, kind in columns.items()}


def _column_schema(kind: ColumnType) -> dict[str, Any]:
    schema = _SCHEMAS[base_kind(kind)]
    return schema | {"type": [schema["type"], "null"]} if may_be_missing(kind) else dict(schema)


def _predictions_schema(interface: Interface) -> dict[str, Any]:
    bounds = dict(zip(("minimum", "maximum"), interface.prediction_range, strict=True))
    # JSON has no infinity.
    number = {"type": "number"} | {name: bound for name, bound in bounds.items() if math.isfinite(bound)}
    n_classes = len(interface.classes)
    per_row = {"type": "array", "items": number, "minItems": n_classes, "maxItems": n_classes}
    model = _object_of(name={"type": "string"}, version={"type": "integer"})
    if n_classes:
        model["properties"]["classes"] = {"const": list(interface.classes)}
    predictions = {"type": "array", "items": per_row if n_classes else number}
    return _object_of(predictions=predictions, model=model, request_id={"type": "string"})


def _object_of(**properties: Any) -> dict[str, Any]:
    """Return the schema of an object whose properties are all required."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def _json_content(description: str, schema: str) -> dict[str, Any]:
    content = {"application/json": {"schema": _schema_reference(schema)}}
    return {"description": description, "content": content}


def _schema_reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
