from __future__ import annotations

import json

import httpx
import pytest

from include.release.targets.smoke import smoke_test_variant

GOLDEN = {"dataframe_split": {"columns": ["hour"], "data": [[7], [8]]}, "predictions": [0.25, 0.5]}


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (json.dumps({"predictions": [0.25, 0.5]}), None),
        (json.dumps({"predictions": [0.25, 0.6]}), "1 of 2 golden rows are predicted differently"),
        ("out of memory", "v2 answered no list of numbers"),
    ],
)
def test_the_variant_must_predict_the_golden_rows(aws, moto_server, use_case, answer, problem) -> None:
    result = {"Body": answer, "ContentType": "application/json"}
    url = f"{moto_server}/moto-api/static/sagemaker/endpoint-results"
    body = {"region": "eu-west-1", "results": [result]}
    httpx.post(url, json=body).raise_for_status()
    tested = smoke_test_variant(use_case, 2, GOLDEN)
    assert tested.passed == (problem is None)
    assert (problem or "all 2 golden rows") in tested.reason


def test_a_package_without_golden_rows_is_not_tested(use_case) -> None:
    assert not smoke_test_variant(use_case, 2, GOLDEN | {"predictions": []}).passed
