from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.inference.scoring_protocol import (
    MAX_BYTES,
    MAX_ROWS,
    BadRequest,
    InvalidPrediction,
    check_predictions,
    frame,
    parse_request,
)

COLUMNS = {"carrier": "string", "hour": "long", "temp": "double", "seen": "datetime", "wet": "boolean"}
ROW = {"carrier": "UA", "hour": 7, "temp": 61.5, "seen": "2013-07-01T12:00:00Z", "wet": False}
NAMES, VALUES = list(ROW), list(ROW.values())


def body(**content) -> bytes:
    return json.dumps(content).encode()


@pytest.mark.parametrize(
    "content",
    [
        {"dataframe_split": {"columns": NAMES, "data": [VALUES, VALUES]}},
        {"dataframe_split": {"columns": NAMES[::-1], "data": [VALUES[::-1]] * 2, "index": [0, 1]}},
        {"dataframe_records": [ROW, ROW]},
        {"instances": [ROW, ROW]},
        {"instances": [VALUES, VALUES]},
        {"inputs": {name: [value] * 2 for name, value in ROW.items()}},
    ],
)
def test_every_form_of_the_protocol_gives_the_same_typed_frame(content) -> None:
    typed = frame([parse_request(body(**content), "application/json", COLUMNS)], COLUMNS)
    assert typed.to_dict("records")[0] | {"seen": str(typed["seen"][0])} == ROW | {
        "seen": "2013-07-01 12:00:00+00:00"
    }
    assert [str(dtype) for dtype in typed.dtypes] == [
        "object",
        "int64",
        "float64",
        "datetime64[ns, UTC]",
        "bool",
    ]
    assert len(typed) == 2


def test_csv_is_read_by_the_signature_s_types() -> None:
    rows = parse_request(
        b"carrier,hour,temp,seen,wet\nUA,7,,2013-07-01,true\n", "text/csv; charset=utf-8", COLUMNS
    )
    assert rows.records() == [{"carrier": "UA", "hour": 7, "temp": None, "seen": "2013-07-01", "wet": True}]


def test_null_is_a_missing_number() -> None:
    rows = parse_request(body(instances=[ROW | {"temp": None, "seen": None}]), "", COLUMNS)
    assert frame([rows], COLUMNS).isna().sum().to_dict() == {
        name: int(name in {"temp", "seen"}) for name in COLUMNS
    }


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"instances": [{"temp": NaN}]}', "NaN is not a JSON value"),
        (b"\xff\xfe", "not JSON"),
        (body(wrong=1), "exactly one of"),
        (body(instances=[ROW], inputs={}), "exactly one of"),
        (body(instances=[]), "no row"),
        (body(instances=7), "list of rows"),
        (body(instances=[ROW, 7]), "rows of one kind"),
        (body(instances=[VALUES, VALUES[:3]]), "row 1 must be a list of 5 values, not 3"),
        (body(dataframe_records=[ROW, {"hour": 1}]), "row 1 differs from row 0 in carrier"),
        (body(dataframe_split={"columns": NAMES, "data": [VALUES, VALUES[:3]]}), "row 1 must be a list of 5"),
        (body(dataframe_split={"data": []}), "must have columns and data"),
        (body(dataframe_split={"columns": [1], "data": [[1]]}), "list of names"),
        (body(dataframe_split={"columns": [*NAMES, "hour"], "data": [[*VALUES, 1]]}), "hour given twice"),
        (body(inputs={"carrier": ["UA"], "hour": [1, 2]}), "different lengths"),
        (body(instances=[{"carrier": "UA"}]), "hour, temp, seen, wet missing"),
        (body(instances=[ROW | {"wide": 1}]), "wide unknown"),
        (body(instances=[ROW | {"temp": "1.5"}]), "Column temp, row 0: '1.5' is not of type double"),
        (body(instances=[ROW | {"temp": True}]), "Column temp, row 0: True is not of type double"),
        (body(instances=[ROW | {"hour": 7.5}]), "Column hour, row 0: 7.5 is not of type long"),
        (body(instances=[ROW | {"hour": None}]), "Column hour, row 0: None is not of type long"),
        (body(instances=[ROW | {"hour": 2**63}]), "too large for type long"),
        (body(instances=[ROW | {"temp": 10**400}]), "too large for a number"),
        (body(instances=[ROW | {"carrier": 1}]), "Column carrier, row 0: 1 is not of type string"),
        (body(instances=[ROW | {"carrier": "a\x00"}]), "NUL"),
        (body(instances=[ROW | {"carrier": "\ud800"}]), "not valid Unicode"),
        (body(instances=[ROW | {"seen": "yesterday-ish"}]), "not a time"),
        (body(instances=[ROW | {"wet": 1}]), "Column wet, row 0: 1 is not of type boolean"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_refused_with_its_place(content: bytes, said: str) -> None:
    with pytest.raises(BadRequest) as refused:
        parse_request(content, "application/json", COLUMNS)
    assert refused.value.status == 400
    assert said in str(refused.value)


def test_an_infinite_number_is_refused() -> None:
    with pytest.raises(BadRequest, match="not a finite number"):
        parse_request(body(instances=[ROW]).replace(b"61.5", b"1e999"), "", COLUMNS)


@pytest.mark.parametrize(
    "content", [b" " * (MAX_BYTES + 1), body(inputs={"x": [1] * (MAX_ROWS + 1)})], ids=["bytes", "rows"]
)
def test_too_much_is_413(content: bytes) -> None:
    with pytest.raises(BadRequest) as refused:
        parse_request(content, "", {"x": "long"})
    assert refused.value.status == 413


def test_another_media_type_is_415() -> None:
    with pytest.raises(BadRequest) as refused:
        parse_request(b"", "application/xml", COLUMNS)
    assert refused.value.status == 415


@given(st.binary() | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*NAMES, "instances", "inputs", "dataframe_split", "columns", "data"]), inner)).map(lambda value: json.dumps(value).encode()))  # fmt: skip  # noqa: E501
def test_whatever_is_sent_is_refused_or_becomes_a_frame(content: bytes) -> None:
    for media in ("application/json", "text/csv"):
        try:
            rows = parse_request(content, media, COLUMNS)
        except BadRequest:
            continue
        assert len(frame([rows], COLUMNS)) == rows.count


def test_good_predictions_become_numbers() -> None:
    assert check_predictions(np.array([0.0, 1.0]), 2, (0, 1)) == [0.0, 1.0]


@pytest.mark.parametrize(
    ("predictions", "said"),
    [
        ([0.1], "shape"),
        ([[0.1], [0.2]], "shape"),
        ([0.1, np.nan], "finite"),
        ([0.1, np.inf], "finite"),
        ([0.1, 1.01], "outside"),
    ],
)
def test_nonsense_is_noticed(predictions, said: str) -> None:
    with pytest.raises(InvalidPrediction, match=said):
        check_predictions(np.array(predictions), 2, (0, 1))


def test_of_several_classes_each_row_has_a_list_of_probabilities():
    answers = [[0.7, 0.2, 0.1], [0.0, 0.0, 1.0]]
    assert check_predictions(np.array(answers), 2, (0, 1), classes=3) == answers


@pytest.mark.parametrize(
    ("predictions", "said"),
    [
        ([0.1, 0.9], "shape"),
        ([[0.5, 0.5], [0.1, 0.9]], "shape"),
        ([[0.1, 0.2, np.nan]] * 2, "finite"),
        ([[0.1, 1.2, -0.3]] * 2, "outside"),
        ([[0.1, 0.2, 0.3]] * 2, "do not add up to 1"),
    ],
)
def test_what_are_no_probabilities_is_nonsense(predictions, said):
    with pytest.raises(InvalidPrediction, match=said):
        check_predictions(np.array(predictions), 2, (0, 1), classes=3)
