from __future__ import annotations

import json
import math

import numpy as np
import pytest

from include.inference.twin.encoder import CategoryColumn, Encoder, NumberColumn, TwinRefusal

CARRIER = CategoryColumn(
    "carrier", {"UA": (0.0, 1.0), "AA": (1.0, 0.0)}, unknown=(0.0, 0.0), missing=None, width=2
)
TEMP = NumberColumn("temp", (("fill", 60.0), ("subtract", 50.0), ("divide", 10.0)))
ENCODER = Encoder((CARRIER, TEMP))
ROWS = {"carrier": ["UA", "B6"], "temp": [None, 70.0]}


def test_columns_become_a_matrix_in_their_order() -> None:
    assert ENCODER.encode(ROWS, 2).tolist() == [[0.0, 1.0, 1.0], [0.0, 0.0, 2.0]]


def test_an_encoder_is_restored_from_json() -> None:
    encoder = Encoder(
        (CARRIER, TEMP, CategoryColumn("hour", {7: (math.nan,)}, None, (1.0,), 1)), is_single=True
    )
    restored = Encoder.from_json(json.loads(json.dumps(encoder.to_json())))
    rows = ROWS | {"hour": [7, None]}
    np.testing.assert_array_equal(restored.encode(rows, 2), encoder.encode(rows, 2))


@pytest.mark.parametrize("value", [None, float("nan")])
def test_a_value_that_may_be_refused_is_refused(value) -> None:
    with pytest.raises(TwinRefusal, match="carrier"):
        ENCODER.encode({"carrier": [value], "temp": [1.0]}, 1)


def test_single_precision_is_rounded_and_bounded() -> None:
    encoder = Encoder((NumberColumn("temp"),), is_single=True)
    assert encoder.encode({"temp": [0.1]}, 1)[0, 0] == float(np.float32(0.1))
    with pytest.raises(TwinRefusal, match="single precision"):
        encoder.encode({"temp": [1e300]}, 1)
    assert Encoder((NumberColumn("temp"),)).encode({"temp": [1e300]}, 1).tolist() == [[1e300]]
