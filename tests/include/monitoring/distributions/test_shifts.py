"""Shifts of one column, against SciPy, Evidently and simulation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp, wasserstein_distance

from include.declarations import Column
from include.monitoring.distributions import counts
from include.monitoring.distributions.shifts import measure_shifts
from include.monitoring.drift import judge_columns, measure_columns

NUMBER = Column(name="x", dtype="number")
TEXT = Column(name="x", dtype="string")


def shifts(old, new, column=NUMBER):
    sides = counts.count_column(pd.Series(old), pd.Series(new), column)
    return {shift.kind: shift for shift in measure_shifts(sides, is_text=column.dtype == "string")}


def normal(count, seed, mean=0.0):
    return np.random.default_rng(seed).normal(mean, 1.0, count)


def test_number_distance_is_scipys():
    old = np.round(normal(700, 1), 1)
    new = np.round(normal(400, 2, 0.2), 1)
    shift = shifts(old, new)["values"]
    assert shift.effect == pytest.approx(wasserstein_distance(old, new) / old.std())
    # Twice, since few values far away are looked for as well.
    assert shift.p_value == pytest.approx(2 * ks_2samp(old, new, method="asymp").pvalue, rel=0.1)


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e9])
@pytest.mark.parametrize("shift", [0.0, 0.03, 0.5])
def test_buckets_give_the_exact_distance(monkeypatch, scale, shift):
    old = 1_013 + scale * np.exp(normal(30_000, 1))
    new = 1_013 + scale * np.exp(normal(20_000, 2, shift))
    exact = shifts(old, new)["values"]
    monkeypatch.setattr(counts, "MAX_EXACT_ROWS", 0)
    bucketed = shifts(old, new)["values"]
    assert bucketed.effect == pytest.approx(exact.effect, rel=0.01, abs=1e-3)
    assert (bucketed.p_value < 1e-6) == (exact.p_value < 1e-6)


def test_buckets_keep_zeros_of_both_signs_together(monkeypatch):
    monkeypatch.setattr(counts, "MAX_EXACT_ROWS", 0)
    zeros = shifts(np.r_[0.0, 0.0, -1.0], np.r_[-0.0, -0.0, -1.0])["values"]
    assert (zeros.effect, zeros.p_value) == (0.0, 1.0)


def test_few_values_far_away_are_found():
    current = normal(300, 2)
    current[:5] = 1_000.0
    shift = shifts(normal(20_000, 1), current)["values"]
    assert shift.matters
    assert shift.p_value < 1e-8


def test_new_identifiers_are_no_unseen_categories():
    ids = [f"id{number}" for number in range(3_000)]
    shift = shifts(ids[:2_000], ids[2_000:], TEXT)
    assert shift["unseen"].p_value > 0.1
    assert not shift["values"].matters
    assert not shift["missing"].matters


def test_unseen_category_is_found_at_three_percent():
    old = np.random.default_rng(0).choice(["a", "b", "c"], 20_000)
    new = np.where(np.arange(500) < 15, "d", np.random.default_rng(1).choice(["a", "b", "c"], 500))
    assert shifts(old, new, TEXT)["unseen"].matters
    assert shifts(old, new, TEXT)["unseen"].p_value < 1e-8


def test_length_of_text_is_compared():
    words = np.random.default_rng(0).integers(0, 10**9, 2_000).astype(str).astype(object)
    shift = shifts(words[:1_000], words[1_000:] + " and more", TEXT)["length"]
    assert shift.matters
    assert shift.p_value < 1e-8
    assert not shifts(words[:1_000], words[1_000:], TEXT)["length"].p_value < 0.001


PLANTED = {
    f"moved_{number}": lambda x, size=size: x + size for number, size in enumerate((0, 0.03, 0.2, 0.5, 1, 3))
}
PLANTED |= {
    f"scaled_{number}": lambda x, size=size: x * size for number, size in enumerate((0.5, 0.7, 1.02, 1.5, 3))
}
PLANTED |= {"stuck": lambda x: np.zeros(len(x)), "far": lambda x: np.where(np.arange(len(x)) < 60, 50, x)}
SHARES = {f"share_{number}": share for number, share in enumerate((0.1, 0.29, 0.3, 0.31, 0.5, 0.8, 1.0))}


def test_verdicts_agree_with_evidently_on_planted_shifts():
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    random = np.random.default_rng(3)
    rows = 4_000
    old = pd.DataFrame({name: random.normal(size=rows) for name in PLANTED})
    new = pd.DataFrame({name: change(random.normal(size=rows)) for name, change in PLANTED.items()})
    for name, share in SHARES.items():
        old[name] = np.where(random.random(rows) < 0.3, "a", "b")
        new[name] = np.where(random.random(rows) < share, "a", "b")
    definition = DataDefinition(numerical_columns=list(PLANTED), categorical_columns=list(SHARES))
    preset = DataDriftPreset(num_method="wasserstein", cat_method="jensenshannon", include_tests=False)
    report = Report([preset]).run(*(Dataset.from_pandas(frame, definition) for frame in (new, old)))
    evidently = {
        metric["config"]["column"]: metric["value"] >= 0.1
        for metric in report.dict()["metrics"]
        if metric["config"]["type"].endswith(":ValueDrift")
    }
    columns = [Column(name=name, dtype="number" if name in PLANTED else "string") for name in old]
    verdicts = judge_columns(measure_columns(old, new, columns), 0.01, {})
    assert {name: figures["drifted"] for name, figures in verdicts.items()} == evidently
    assert 8 < sum(evidently.values()) < len(evidently) - 4


def test_quiet_data_raise_no_false_alarm():
    columns = [Column(name=f"n{number}", dtype="number") for number in range(8)]
    columns += [Column(name=f"c{number}", dtype="string") for number in range(8)]
    alarms = 0
    for seed in range(40):
        random = np.random.default_rng(seed)
        frames = [_quiet(random, columns, count) for count in (500, 250)]
        verdicts = judge_columns(measure_columns(*frames, columns), 0.01, {})
        alarms += any(figures["drifted"] for figures in verdicts.values())
    assert alarms <= 2


def _quiet(random, columns, count):
    categories = [f"A{number}" for number in range(100)]
    values = {
        "number": lambda: np.exp(random.normal(size=count)),
        "string": lambda: random.choice(categories, count),
    }
    return pd.DataFrame({column.name: values[column.dtype]() for column in columns})
