from __future__ import annotations

import json

import pytest

from include.inference.scoring_protocol import BadRequest
from include.serving.fallback.rows import read_rows

ROWS = [{"hour": 5, "carrier": "AA"}, {"hour": 6, "carrier": "UA"}]


@pytest.mark.parametrize(
    "content",
    [
        {"dataframe_records": ROWS},
        {"instances": ROWS},
        {"inputs": {"hour": [5, 6], "carrier": ["AA", "UA"]}},
        {"dataframe_split": {"columns": ["hour", "carrier"], "data": [[5, "AA"], [6, "UA"]]}},
    ],
)
def test_rows_are_read_in_each_form(content):
    assert read_rows(json.dumps(content).encode(), "application/json") == ROWS


def test_csv_has_texts():
    assert read_rows(b"hour,carrier\n5,AA\n", "text/csv; charset=utf-8") == [{"hour": "5", "carrier": "AA"}]


def test_rows_without_names_are_counted():
    assert read_rows(b'{"instances": [[1, 2], [3, 4]]}', "") == [{}, {}]


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"3", b"{}", b'{"inputs": 3}', b'{"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}}'],
)
def test_other_bodies_are_refused(body):
    with pytest.raises(BadRequest):
        read_rows(body, "application/json")


def test_too_many_rows_are_refused():
    with pytest.raises(BadRequest, match="at most 10000") as refused:
        read_rows(json.dumps({"instances": [[1]] * 10_001}).encode(), "")
    assert refused.value.status == 413
