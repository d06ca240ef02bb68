from __future__ import annotations

import json
from html import unescape

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance

from include.declarations import Column, DriftPolicy
from include.errors import DataError
from include.monitoring.distributions.counts import ColumnCounter
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


def drift(current, reference=None, columns=COLUMNS, policy=POLICY, importance=None):
    return measure_drift(
        rows(1_000) if reference is None else reference,
        current,
        columns=columns,
        policy=policy,
        importance=importance,
    )


@pytest.mark.parametrize("count", [200, 1_000])
def test_rows_of_the_same_distribution_are_no_drift(count):
    result = drift(rows(count, seed=1))
    assert (result.outcome, result.drifted, result.share) == ("no_drift", False, 0.0)
    assert not any(figures["reason"] for figures in result.per_column.values())


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
def test_only_the_changed_column_drifts(column, changed):
    current = rows(1_000, seed=1)
    current[column] = changed(current)
    result = drift(current)
    assert result.drifted
    assert [name for name, figures in result.per_column.items() if figures["drifted"]] == [column]
    assert result.per_column[column]["reason"] in unescape(result.html)
    assert column in result.reason


def test_missing_column_drifts():
    result = drift(rows(1_000, seed=1).drop(columns="hour"))
    assert result.per_column["hour"]["drifted"]
    assert result.per_column["hour"]["unusable_current"] == 1


def test_column_with_the_same_gaps_does_not_drift():
    reference = rows(1_000)
    current = rows(1_000, seed=1)
    reference["distance"] = reference["distance"].where(reference.index % 3 > 0)
    current["distance"] = current["distance"].where(current.index % 3 > 0)
    assert drift(current, reference).outcome == "no_drift"


def test_column_empty_in_both_does_not_hide_the_others():
    reference = rows(1_000).assign(dest=None)
    current = rows(1_000, seed=1).assign(dest=None)
    assert drift(current, reference).outcome == "no_drift"
    assert drift(current.assign(hour=5), reference).drifted


def test_too_few_rows_are_inconclusive():
    for current in (rows(199), rows(0), rows(0)[[]]):
        result = drift(current)
        assert (result.outcome, result.drifted) == ("inconclusive", False)
        assert "200 of each are needed" in result.reason
        assert result.reason in result.html
    assert drift(rows(1_000), reference=rows(10)).outcome == "inconclusive"


WEIGHTS = {"distance": 0.03, "hour": 0.05, "dest": 0.02, "holiday": -0.01}


def test_one_important_column_suffices():
    current = rows(1_000, seed=1).assign(hour=5)
    policy = DriftPolicy(columns_share=0.5)
    result = drift(current, policy=policy, importance=WEIGHTS)
    assert (result.outcome, result.share, result.importance_share) == ("drift", 0.25, 0.5)
    assert "50% of the importance" in result.reason


def test_unimportant_column_alone_is_no_drift():
    current = rows(1_000, seed=1).assign(holiday=True)
    result = drift(current, policy=DriftPolicy(), importance=WEIGHTS)
    assert result.per_column["holiday"]["drifted"]
    assert (result.outcome, result.importance_share) == ("no_drift", 0.0)
    assert drift(current, policy=DriftPolicy(columns_share=0.25), importance=WEIGHTS).drifted


def test_any_drifted_column_counts_without_importances():
    current = rows(1_000, seed=1).assign(holiday=True)
    for unknown in (None, dict.fromkeys(WEIGHTS, 0.0)):
        assert drift(current, policy=DriftPolicy(), importance=unknown).drifted


def test_columns_are_ranked_by_importance_times_shift():
    current = rows(1_000, seed=1).assign(dest="Z99", hour=lambda r: r["hour"] + 3)
    ranked = drift(current, importance=WEIGHTS | {"dest": 0.0001}).per_column
    assert list(ranked)[:2] == ["hour", "dest"]
    assert ranked["dest"]["kinds"] == ["values", "unseen"]


def test_column_that_got_stuck_is_named_constant():
    assert (
        "constant, all values are 5" in drift(rows(1_000, seed=1).assign(hour=5)).per_column["hour"]["reason"]
    )


def test_rare_categories_in_few_rows_do_not_drift():
    few = Column(name="dest", dtype="string")
    figures = drift(rows(200, seed=1), columns=[few]).per_column["dest"]
    shares = [
        rows(count, seed)["dest"].value_counts(normalize=True) for count, seed in ((1_000, 0), (200, 1))
    ]
    assert jensenshannon(*pd.concat(shares, axis=1).fillna(0).to_numpy().T) > 0.1, "Evidently's own threshold"
    assert not figures["drifted"]
    assert figures["distance"] < 0.1


def test_figures_are_of_all_rows_and_plots_of_a_sample():
    current = rows(50_000, seed=1)
    current.loc[current.index >= 47_000, "distance"] = 1e7
    result = drift(current)
    assert result.sampled
    assert result.per_column["distance"]["distance"] == pytest.approx(
        wasserstein_distance(rows(1_000)["distance"], current["distance"])
        / rows(1_000)["distance"].std(ddof=0)
    )
    assert "a sample of 1,000 of 1,000 training rows and 2,000 of 50,000 current rows" in result.html
    assert not drift(rows(2_000, seed=1)).sampled


def test_figures_are_json_without_a_distance():
    current = rows(1_000, seed=1).assign(distance=np.inf, dest=None)
    result = drift(current)
    assert json.loads(json.dumps(result.per_column, allow_nan=False)) == result.per_column


def test_values_cannot_become_markup_in_the_page():
    markup = "</script><script>alert(1)</script>"
    result = drift(rows(1_000, seed=1).assign(dest=markup), columns=COLUMNS)
    assert "alert(1)" in result.html
    assert "<script>alert(1)" not in result.html


def test_timestamps_are_left_out():
    columns = (*COLUMNS, Column(name="at", dtype="timestamp"))
    reference = rows(1_000).assign(at=pd.Timestamp("2013-01-01"))
    current = rows(1_000, seed=1).assign(at=pd.Timestamp("2013-07-01"))
    assert "at" not in drift(current, reference, columns).per_column


def test_reference_without_a_column_is_an_error():
    with pytest.raises(DataError, match="no column hour"):
        drift(rows(1_000), rows(1_000).drop(columns="hour"))


def test_duplicate_column_is_an_error():
    duplicated = pd.concat([rows(1_000), rows(1_000)[["hour"]]], axis=1)
    with pytest.raises(DataError, match="hour stands twice"):
        drift(duplicated)


def test_names_of_columns_are_escaped_in_the_summary():
    name = "<script>alert(1)</script>"
    column = Column.model_construct(name=name, dtype="number", nullable=True)
    reference = pd.DataFrame({name: rows(1_000)["distance"]})
    result = drift(reference * 2, reference, [column])
    assert result.drifted
    summary = result.html.split("<section")[1].split("</section>")[0]
    assert name not in summary
    assert "&lt;script&gt;" in summary


def test_only_personal_numbers_are_inconclusive():
    personal = (Column(name="hour", dtype="integer", personal=True),)
    result = measure_drift(rows(1_000), rows(1_000), columns=personal, policy=DriftPolicy())
    assert (result.outcome, result.per_column) == ("inconclusive", {})
    assert "no feature can be compared" in result.reason


ODD_VALUES = {
    "constant": 7,
    "missing": None,
    "nan": np.nan,
    "infinite": np.inf,
    "negative infinite": -np.inf,
    "huge": 1e308,
    "text": "\x00\ud800",
    "long text": "x" * 10_000,
    "moment": pd.Timestamp("9999-12-31"),
    "no moment": pd.NaT,
    "list": [1, 2],
    "mapping": {"a": 1},
}


@pytest.fixture
def undrawn(monkeypatch):
    """Draw no plots, which take seconds."""
    monkeypatch.setattr("include.monitoring.distributions.report_page._draw_evidently", lambda *_: "<body>")


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("column", [column.name for column in COLUMNS])
@pytest.mark.parametrize("value", ODD_VALUES.values(), ids=ODD_VALUES)
def test_odd_values_are_drift_of_their_column_alone(column, value):
    current = rows(400, seed=1)
    changed = current.assign(**{column: pd.Series([value] * len(current), dtype=object)})
    result = drift(changed)
    drifted = {name for name, figures in result.per_column.items() if figures["drifted"]}
    assert (result.outcome, drifted) == ("drift", {column})
    assert json.dumps(result.per_column, allow_nan=False)


@pytest.mark.parametrize(
    "current",
    [rows(0), rows(1), pd.DataFrame(), rows(400)[[]].iloc[:0]],
    ids=["empty", "one row", "no columns", "neither"],
)
def test_too_little_to_compare_is_inconclusive(current):
    result = drift(current)
    assert (result.outcome, result.per_column) == ("inconclusive", {})
    assert "200 of each are needed" in result.reason


@pytest.mark.usefixtures("undrawn")
def test_columns_that_vanished_drift_and_are_named():
    result = drift(rows(400, seed=1)[[]])
    assert (result.outcome, result.share) == ("drift", 1.0)
    assert "100% of the values are missing" in result.per_column["dest"]["reason"]


@pytest.mark.usefixtures("undrawn")
def test_column_that_fails_hides_no_other(monkeypatch):
    def fail_at_hours(reference, column):
        if column.name == "hour":
            raise ValueError("no such hour")
        return ColumnCounter(reference, column)

    monkeypatch.setattr("include.monitoring.drift.ColumnCounter", fail_at_hours)
    calm = drift(rows(400, seed=1))
    assert (calm.outcome, calm.per_column["hour"]["reason"]) == (
        "inconclusive",
        "cannot be compared: no such hour",
    )
    assert calm.reason == "0 of 4 columns drifted; not compared: hour"
    assert "not compared" in calm.html
    assert drift(rows(400, seed=1).assign(dest="Z99")).outcome == "drift"


def test_broken_plots_hide_no_verdict(monkeypatch):
    def fail(*_):
        raise RuntimeError("no bins")

    monkeypatch.setattr("include.monitoring.distributions.report_page._draw_evidently", fail)
    result = drift(rows(400, seed=1).assign(dest="Z99"))
    assert result.outcome == "drift"
    assert "The plots cannot be drawn: no bins" in unescape(result.html)
