from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.inference.requests.request_keys import Keys
from include.inference.scoring_protocol import (
    MAX_BODY_BYTES,
    MAX_ROWS,
    BadRequest,
    check_column,
    frame,
    parse_request,
)

COLUMNS = {"carrier": "string", "hour": "long", "temp": "double?", "seen": "datetime?", "wet": "boolean"}
NULLABLE = {name: f"{kind.removesuffix('?')}?" for name, kind in COLUMNS.items()}
ROW = {"carrier": "UA", "hour": 7, "temp": 61.5, "seen": "2013-07-01T12:00:00Z", "wet": False}
NAMES = list(ROW)
VALUES = list(ROW.values())


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
def test_every_form_of_the_protocol_gives_the_same_frame(content) -> None:
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


def test_csv_is_parsed_by_the_types_of_the_signature() -> None:
    rows = parse_request(
        b"carrier,hour,temp,seen,wet\nUA,7,,2013-07-01,true\n", "text/csv; charset=utf-8", COLUMNS
    )
    assert rows.records() == [{"carrier": "UA", "hour": 7, "temp": None, "seen": "2013-07-01", "wet": True}]


@pytest.mark.parametrize(
    "moment",
    [
        "2013-07-01",
        "2013-07-01 12:00",
        "2013-07-01T12:00:00.123456789Z",
        "20130701T1200",
        "2013-07-01T14:00:00+0200",
    ],
)
def test_times_of_iso_8601_are_taken(moment) -> None:
    rows = parse_request(body(instances=[ROW | {"seen": moment}, ROW]), "", COLUMNS)
    assert rows.columns["seen"] == [moment, ROW["seen"]]
    assert frame([rows], COLUMNS)["seen"].notna().all()


@given(st.datetimes().map(str) | st.datetimes(timezones=st.timezones()).map(lambda at: at.isoformat()) | st.text("0123456789-:.TZ+W ", max_size=30))  # fmt: skip  # noqa: E501
def test_any_time_is_refused_or_can_be_converted(moment) -> None:
    try:
        rows = parse_request(body(instances=[ROW | {"seen": moment}]), "", COLUMNS)
    except BadRequest as error:
        refused = str(error)
    else:
        assert len(frame([rows], COLUMNS)) == 1
        return
    assert "Column seen, row 0" in refused


def test_an_integer_may_be_sent_as_a_float() -> None:
    rows = parse_request(body(instances=[ROW | {"hour": 17.0}, ROW | {"hour": -0.0}, ROW]), "", COLUMNS)
    assert list(map(repr, rows.columns["hour"])) == ["17", "0", "7"]
    csv = b"carrier,hour,temp,seen,wet\nUA,17.0,1,,true\n"
    assert parse_request(csv, "text/csv", COLUMNS).columns["hour"] == [17]


def test_params_are_taken_and_ignored() -> None:
    for params in ({}, {"threshold": 0.5}, None):
        assert parse_request(body(instances=[ROW], params=params), "", COLUMNS).records() == [ROW]


def test_null_is_a_missing_value() -> None:
    rows = parse_request(body(instances=[ROW | {"temp": None, "seen": None}]), "", COLUMNS)
    assert frame([rows], COLUMNS).isna().sum().to_dict() == {
        name: int(name in {"temp", "seen"}) for name in COLUMNS
    }


def test_null_is_taken_for_every_type_that_may_miss() -> None:
    rows = parse_request(body(instances=[dict.fromkeys(ROW, None) | {"hour": 7}, ROW]), "", NULLABLE)
    typed = frame([rows], NULLABLE)
    assert typed.isna().sum().to_dict() == {name: int(name != "hour") for name in ROW}
    assert typed.drop(columns="seen").dtypes.astype(str).to_dict() == {
        "carrier": "object", "hour": "float64", "temp": "float64", "wet": "float64",
    }  # fmt: skip
    csv_rows = parse_request(b"carrier,hour,temp,seen,wet\n,7,,,\n", "text/csv", NULLABLE)
    assert csv_rows.records()[0] == dict.fromkeys(ROW, None) | {"hour": 7}


def test_feature_that_may_be_missing_need_not_be_sent() -> None:
    rows = parse_request(body(instances=[{"hour": 7}]), "", NULLABLE)
    assert rows.records() == [{"hour": 7, "carrier": None, "temp": None, "seen": None, "wet": None}]
    with pytest.raises(BadRequest, match="carrier, hour, temp, seen, wet missing"):
        parse_request(body(instances=[{}]), "", NULLABLE)


def test_unknown_columns_are_ignored_where_declared() -> None:
    sent = body(instances=[ROW | {"wide": 1}])
    assert parse_request(sent, "", COLUMNS, ignore_unknown=True).records() == [ROW]
    with pytest.raises(BadRequest, match="hour missing"):
        parse_request(
            body(instances=[{"carrier": "UA", "wet": True, "hours": 7}]), "", COLUMNS, ignore_unknown=True
        )


@pytest.mark.parametrize(
    ("content", "message"),
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
        (body(instances=[{"carrier": "UA"}]), "hour, wet missing"),
        (body(instances=[ROW | {"wide": 1}]), "wide unknown"),
        (body(instances=[ROW | {"temp": "1.5"}]), "Column temp, row 0: '1.5' is not of type double"),
        (body(instances=[ROW | {"temp": True}]), "Column temp, row 0: True is not of type double"),
        (body(instances=[ROW | {"hour": 7.5}]), "Column hour, row 0: 7.5 is not of type long"),
        (body(instances=[ROW | {"hour": None}]), "row 0: None is missing, and a long is required"),
        (body(instances=[ROW | {"hour": 2**63}]), "is too large for type long"),
        (body(instances=[ROW | {"hour": -(2**63) - 1}]), "is too large for type long"),
        (body(instances=[ROW, ROW | {"hour": True}]), "Column hour, row 1: True is not of type long"),
        (body(instances=[ROW | {"temp": 10**400}]), "too large for a number"),
        (body(instances=[ROW | {"carrier": 1}]), "Column carrier, row 0: 1 is not of type string"),
        (body(instances=[ROW | {"carrier": "a\x00"}]), "NUL"),
        (body(instances=[ROW | {"carrier": "\ud800"}]), "not valid Unicode"),
        (body(instances=[ROW | {"seen": "yesterday-ish"}]), "not a time"),
        (body(instances=[ROW, ROW | {"seen": "July 1, 2013"}]), "seen, row 1: 'July 1, 2013' is not a time"),
        (body(instances=[ROW | {"seen": "now"}]), "not a time"),
        (body(instances=[ROW | {"seen": ""}]), "not a time"),
        (body(instances=[ROW | {"seen": "2013-02-30"}]), "not a time"),
        (body(instances=[ROW | {"seen": "2013-07-01T25:00"}]), "not a time"),
        (body(instances=[ROW | {"seen": "1066-10-14T09:00:00Z"}]), "outside of the years"),
        (body(instances=[ROW | {"hour": 1e300}]), "1e+300 is not of type long"),
        (body(instances=[ROW | {"hour": 2.0**53 + 2}]), "9007199254740994.0 is not of type long"),
        (body(instances=[ROW, ROW | {"hour": 7.0}, ROW | {"hour": 7.5}]), "Column hour, row 2: 7.5 is not"),
        (body(instances=[ROW], params=[1]), "params must be an object"),
        (body(instances=[ROW | {"wet": 1}]), "Column wet, row 0: 1 is not of type boolean"),
    ],
)  # fmt: skip
def test_an_invalid_request_is_rejected_with_the_location(content: bytes, message: str) -> None:
    with pytest.raises(BadRequest) as rejected:
        parse_request(content, "application/json", COLUMNS)
    assert rejected.value.status == 400
    assert message in str(rejected.value)


def test_an_infinite_number_is_rejected() -> None:
    with pytest.raises(BadRequest, match="not a finite number"):
        parse_request(body(instances=[ROW]).replace(b"61.5", b"1e999"), "", COLUMNS)


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        ("float", 1e39, "1e\\+39 is too large for type float"),
        ("float", -1e39, "-1e\\+39 is too large for type float"),
        ("float", "1", "'1' is not of type float"),
        ("integer", 2**31, "2147483648 is too large for type integer"),
        ("integer", -(2**31) - 1, "-2147483649 is too large for type integer"),
    ],
)
def test_a_value_beyond_32_bits_is_rejected(kind, value, message) -> None:
    with pytest.raises(BadRequest, match=f"Column x, row 1: {message}"):
        check_column("x", [0, value], kind)


def test_accepted_values_are_returned_unchanged() -> None:
    values = check_column("x", (7, 1.5, None, 2**31), "double?")
    assert list(map(repr, values)) == ["7", "1.5", "None", "2147483648"]
    assert check_column("x", [-(2**31), 2**31 - 1], "integer") == [-(2**31), 2**31 - 1]


@pytest.mark.parametrize(
    "content", [b" " * (MAX_BODY_BYTES + 1), body(inputs={"x": [1] * (MAX_ROWS + 1)})], ids=["bytes", "rows"]
)
def test_a_request_beyond_the_limits_is_413(content: bytes) -> None:
    with pytest.raises(BadRequest) as rejected:
        parse_request(content, "", {"x": "long"})
    assert rejected.value.status == 413


def test_another_media_type_is_415() -> None:
    with pytest.raises(BadRequest) as rejected:
        parse_request(b"", "application/xml", COLUMNS)
    assert rejected.value.status == 415


@given(st.binary() | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*NAMES, "instances", "inputs", "dataframe_split", "columns", "data"]), inner)).map(lambda value: json.dumps(value).encode()))  # fmt: skip  # noqa: E501
def test_any_body_is_rejected_or_becomes_a_frame(content: bytes) -> None:
    for media in ("application/json", "text/csv"):
        try:
            rows = parse_request(content, media, COLUMNS)
        except BadRequest:
            continue
        assert len(frame([rows], COLUMNS)) == rows.count


LOOKED_UP = Keys(
    {"shop": "string", "till": "long", "at": "datetime"},
    {"hour": ("shop",), "temp": ("shop", "till")},
)


def test_features_may_be_missing_whose_keys_are_sent() -> None:
    sent = {"carrier": "UA", "wet": True, "seen": None, "shop": "a", "till": 0, "at": "2013-07-01"}
    rows = parse_request(body(instances=[sent]), "", COLUMNS, LOOKED_UP)
    assert rows.columns == {"carrier": ["UA"], "seen": [None], "wet": [True]}
    assert rows.keys == {"shop": ["a"], "till": [0], "at": ["2013-07-01"]}
    assert rows.records() == [sent]


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ({"shop": "a"}, "temp missing. It takes .*, or shop instead of hour; shop and till instead of temp"),
        ({"shop": "a", "till": "0"}, "Column till, row 0: '0' is not of type long"),
        ({"till": 0, "hour": 1}, "temp missing"),
    ],
)
def test_features_without_their_keys_are_missing(sent, message) -> None:
    others = {"carrier": "UA", "wet": True, "seen": None}
    with pytest.raises(BadRequest, match=message):
        parse_request(body(instances=[others | sent]), "", COLUMNS, LOOKED_UP)
