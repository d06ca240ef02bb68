from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from include.data.snapshots.determination import find_determinants, require_undetermined
from include.errors import DataError
from include.use_cases.air_time import USE_CASE as AIR_TIME
from include.use_cases.flight_delay import USE_CASE as FLIGHT_DELAY
from tests.include.conftest import make_flights

N_ROWS = 2_000
REGRESSION = AIR_TIME.model_copy(update={"features": ("a", "b", "c", "d")})
BINARY = FLIGHT_DELAY.model_copy(update={"features": ("a", "b", "c", "d")})


def make_rows(seed=0, **columns):
    """Return rows with four features that have nothing to do with the label, but for the given columns."""
    random = np.random.default_rng(seed)
    raw = random.normal(20, 30, N_ROWS).round(1)
    rows = pd.DataFrame(
        {
            "a": random.normal(size=N_ROWS),
            "b": random.integers(0, 50, N_ROWS),
            "c": random.choice(list("xyz"), N_ROWS),
            "d": random.random(N_ROWS) > 0.5,
            "_airworthy_target": (raw > 15).astype("int64"),
            "_airworthy_raw_label": raw,
        }
    )
    return rows.assign(**columns)


def as_regression(rows):
    return rows.assign(_airworthy_target=rows["_airworthy_raw_label"]).drop(columns="_airworthy_raw_label")


RAW = make_rows()["_airworthy_raw_label"]
LATE = make_rows()["_airworthy_target"]
HIDDEN = np.random.default_rng(7).random(N_ROWS) < 0.3
FIRST_PART = make_rows()["b"]
DETERMINED = {
    "label": (BINARY, {"a": LATE}, "a equals the label"),
    "truth of it": (BINARY, {"d": LATE == 1}, "d equals the label"),
    "reversed": (BINARY, {"d": LATE == 0}, "d determines it"),
    "as text": (BINARY, {"c": LATE.map({0: "punctual", 1: "late"})}, "c determines it: each of 2 values"),
    "with nulls": (BINARY, {"c": LATE.map({0: "n", 1: "y"}).mask(HIDDEN)}, "c determines it"),
    "null where negative": (BINARY, {"a": RAW.where(LATE == 1)}, "a equals the label"),
    "null or not": (BINARY, {"c": pd.Series("paid", RAW.index).where(LATE == 1)}, "c determines it"),
    "number before above": (BINARY, {"a": RAW}, "a equals the label"),
    "curve of the number": (BINARY, {"a": RAW**3}, "bounds of the feature divide the labels"),
    "many to one": (BINARY, {"b": LATE * 20 + make_rows()["b"] % 20}, "b determines it: each of 40 values"),
    "sum before above": (BINARY, {"a": RAW - FIRST_PART}, "a and b as a linear combination"),
    "value": (REGRESSION, {"a": RAW}, "a equals the label"),
    "in another unit": (REGRESSION, {"a": RAW * 1.8 + 32}, "a times a constant is it"),
    "sum": (REGRESSION, {"a": RAW - 2 * FIRST_PART}, "a and b as a linear combination"),
    "sum with nulls": (REGRESSION, {"a": (RAW - 2 * FIRST_PART).mask(HIDDEN)}, "a and b as a linear combin"),
}


@pytest.mark.parametrize("case", DETERMINED)
def test_feature_that_holds_the_label_is_named(case):
    use_case, columns, finding = DETERMINED[case]
    rows = make_rows(**columns)
    rows = rows if use_case is BINARY else as_regression(rows)
    (determinant,) = find_determinants(use_case, rows)
    assert finding in str(determinant)


CHANCE = np.random.default_rng(3).random(N_ROWS)
HONEST = {
    "nothing": {},
    "nearly the label": {"a": np.where(CHANCE < 0.01, 1 - LATE, LATE)},
    "nearly the number": {"a": RAW + 4 * (CHANCE - 0.5)},
    "identifier": {"c": [f"id-{row}" for row in range(N_ROWS)], "b": range(N_ROWS)},
    "identifier of few rows": {"c": (np.argsort(np.argsort(RAW)) // 4).astype(str)},
    "constant": {"a": 1.0, "b": 2},
    "null": {"a": np.nan, "c": None},
}


@pytest.mark.parametrize("case", HONEST)
@pytest.mark.parametrize("use_case", [BINARY, REGRESSION], ids=["binary", "regression"])
def test_honest_features_are_not_named(use_case, case):
    rows = make_rows(**HONEST[case])
    if use_case is REGRESSION and case == "identifier of few rows":
        rows = rows.assign(c=rows.index.astype(str))
    assert find_determinants(use_case, rows if use_case is BINARY else as_regression(rows)) == ()


def test_one_label_has_nothing_to_be_determined():
    rows = make_rows(a=1.0, _airworthy_target=1, _airworthy_raw_label=60.0)
    assert find_determinants(BINARY, rows) == ()


def test_flights_have_no_determinant():
    rows = make_flights(days=30, a_day=60)
    features = tuple(name for name in FLIGHT_DELAY.features if name in rows)
    use_case = FLIGHT_DELAY.model_copy(update={"features": features})
    assert find_determinants(use_case, rows) == ()


def test_strong_features_are_rarely_named_by_chance():
    """Features that are wrong about a tenth of the rare labels, of the smallest size that is judged."""
    random = np.random.default_rng(5)
    n_named = 0
    for _ in range(200):
        target = np.repeat([0, 1], [400, 100])
        guess = np.where(random.random(500) < 0.1, 1 - target, target)
        group = np.where(guess == 1, random.integers(0, 5, 500), random.integers(5, 20, 500))
        rows = pd.DataFrame({"a": guess, "b": group, "c": "x", "d": True, "_airworthy_target": target})
        n_named += len(find_determinants(BINARY, rows))
    assert n_named == 0


def test_rare_labels_are_not_determined_by_many_values():
    """With one positive in 200 rows, most values of a feature have rows of one label by chance."""
    random = np.random.default_rng(6)
    for _ in range(50):
        target = (random.random(4_000) < 0.005).astype(int)
        rows = pd.DataFrame(
            {"a": 0.0, "b": random.integers(0, 400, 4_000), "c": "x", "d": True, "_airworthy_target": target}
        )
        assert find_determinants(BINARY, rows) == ()


def test_refusal_names_features_label_rows_and_remedy():
    with pytest.raises(DataError) as refusal:
        require_undetermined(BINARY, make_rows(a=RAW))
    parts = ("flight_delay: ", "arrivals.arr_delay", "a equals", "2,000 rows", "remove it from `features`")
    for part in parts:
        assert part in str(refusal.value)


def test_allowed_determinant_is_not_looked_at():
    allowed = {"a": "Fares follow from the route by contract."}
    rows = make_rows(a=RAW - FIRST_PART)
    require_undetermined(BINARY.model_copy(update={"allowed_determinants": allowed}), rows)
    with pytest.raises(DataError):
        require_undetermined(BINARY, rows)
