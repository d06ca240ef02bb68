from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from include.declarations import Column, DriftPolicy
from include.errors import DataError
from include.monitoring.drift import measure_drift

COLUMNS = (
    Column(name="distance", dtype="number"),
    Column(name="hour", dtype="integer"),
    Column(name="dest", dtype="string"),
    Column(name="holiday", dtype="boolean"),
)
POLICY = DriftPolicy(columns_share=0.25, minimum_rows=200, maximum_rows=2_000)


def rows(count, seed=0):
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "distance": random.gamma(2.0, 500.0, count),
            "hour": random.integers(5, 23, count),
            "dest": random.choice([f"A{n:02d}" for n in range(60)], count),
            "holiday": random.random(count) < 0.1,
        }
    )


def drift(current, reference=None, columns=COLUMNS, policy=POLICY):
    return measure_drift(
        rows(1_000) if reference is None else reference, current, columns=columns, policy=policy
    )


@pytest.mark.parametrize("count", [200, 1_000])
def test_keeps_quiet_while_nothing_changes(count):
    measured = drift(rows(count, seed=1))
    assert (measured.outcome, measured.drifted, measured.share) == ("no_drift", False, 0.0)
    assert not any(figures["reason"] for figures in measured.per_column.values())


@pytest.mark.parametrize(
    ("column", "changed"),
    [
        ("distance", lambda r: r["distance"] * 1.5),
        ("hour", lambda r: 5),
        ("dest", lambda r: "Z99"),
        ("holiday", lambda r: ~r["holiday"]),
        ("distance", lambda r: np.nan),
        ("distance", lambda r: r["distance"].astype(object).where(r.index % 4 > 0, None)),
        ("distance", lambda r: r["distance"].where(r.index % 4 > 0, np.inf)),
        ("distance", lambda r: r["distance"].where(r.index % 4 > 0, 1e308)),
        ("distance", lambda r: r["distance"].astype(str)),
        ("distance", lambda r: pd.Timestamp("2026-01-01")),
        ("distance", lambda r: 9e13),
        ("distance", lambda r: 1e13 + r.index * 1e-2),
        ("dest", lambda r: None),
        ("dest", lambda r: r["hour"]),
        ("dest", lambda r: [["A01"]] * len(r)),
    ],
    ids=["moved", "constant", "new values", "other share", "all NaN", "more missing", "infinite", "too large",
         "numbers as text", "numbers as time", "huge", "nearly constant",
         "all None", "text as numbers", "text as lists"],
)  # fmt: skip
def test_finds_the_column_that_changed_and_only_that(column, changed):
    current = rows(1_000, seed=1)
    current[column] = changed(current)
    measured = drift(current)
    assert measured.drifted
    assert [name for name, figures in measured.per_column.items() if figures["drifted"]] == [column]
    assert measured.per_column[column]["reason"] in measured.html
    assert column in measured.reason


def test_a_column_that_is_missing_is_drift():
    measured = drift(rows(1_000, seed=1).drop(columns="hour"))
    assert measured.per_column["hour"]["drifted"]
    assert measured.per_column["hour"]["unusable_current"] == 1


def test_a_column_that_always_had_gaps_is_none():
    reference, current = rows(1_000), rows(1_000, seed=1)
    reference["distance"] = reference["distance"].where(reference.index % 3 > 0)
    current["distance"] = current["distance"].where(current.index % 3 > 0)
    assert drift(current, reference).outcome == "no_drift"


def test_a_column_that_was_always_empty_is_none_and_the_others_are_still_measured():
    reference, current = rows(1_000).assign(dest=None), rows(1_000, seed=1).assign(dest=None)
    assert drift(current, reference).outcome == "no_drift"
    assert drift(current.assign(hour=5), reference).drifted


def test_too_few_rows_are_inconclusive_and_never_no_drift():
    for current in (rows(199), rows(0), rows(0)[[]]):
        measured = drift(current)
        assert (measured.outcome, measured.drifted) == ("inconclusive", False)
        assert "200 of each are needed" in measured.reason
        assert measured.reason in measured.html
    assert drift(rows(1_000), reference=rows(10)).outcome == "inconclusive"


def test_drift_needs_the_share_of_columns_that_the_policy_names():
    current = rows(1_000, seed=1).assign(hour=5)
    assert drift(current, policy=POLICY.model_copy(update={"columns_share": 0.25})).drifted
    assert not drift(current, policy=POLICY.model_copy(update={"columns_share": 0.3})).drifted


def test_many_rare_categories_in_few_rows_are_chance_not_drift():
    few = Column(name="dest", dtype="string")
    figures = drift(rows(200, seed=1), columns=[few]).per_column["dest"]
    assert figures["distance"] > 0.1, "Evidently's own threshold would call it drift"
    assert not figures["drifted"]


def test_a_large_table_is_sampled_the_same_way_each_time_and_says_so():
    current = rows(5_000, seed=1)
    first, second = drift(current), drift(current)
    assert first.sampled
    assert first.per_column == second.per_column
    assert "a fixed random sample of at most 2,000 of 1,000 reference rows and 5,000 current" in first.html
    assert not drift(rows(2_000, seed=1)).sampled


def test_the_figures_are_json_also_when_a_distance_is_not_a_number():
    current = rows(1_000, seed=1).assign(distance=np.inf, dest=None)
    measured = drift(current)
    assert json.loads(json.dumps(measured.per_column, allow_nan=False)) == measured.per_column


def test_a_value_that_a_caller_sent_cannot_become_markup_in_the_page():
    evil = "</script><script>alert(1)</script>"
    measured = drift(rows(1_000, seed=1).assign(dest=evil), columns=COLUMNS)
    assert "alert(1)" in measured.html
    assert "<script>alert(1)" not in measured.html


def test_timestamps_are_left_out():
    columns = (*COLUMNS, Column(name="at", dtype="timestamp"))
    reference = rows(1_000).assign(at=pd.Timestamp("2013-01-01"))
    current = rows(1_000, seed=1).assign(at=pd.Timestamp("2013-07-01"))
    assert "at" not in drift(current, reference, columns).per_column


def test_a_reference_without_the_column_is_somebodys_mistake():
    with pytest.raises(DataError, match="no column hour"):
        drift(rows(1_000), rows(1_000).drop(columns="hour"))


def test_a_column_that_stands_twice_is_refused():
    twice = pd.concat([rows(1_000), rows(1_000)[["hour"]]], axis=1)
    with pytest.raises(DataError, match="hour stands twice"):
        drift(twice)
