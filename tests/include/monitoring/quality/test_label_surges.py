"""Classes whose share surges or vanishes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from include.monitoring.quality.label_surges import find_label_surges
from include.monitoring.quality.maturity import DUE, LANDED
from include.use_cases.air_time import USE_CASE as AIR_TIME
from include.use_cases.delay_band import USE_CASE as DELAY_BAND
from include.use_cases.flight_delay import USE_CASE as FLIGHT_DELAY

USUAL = (0.6, 0.3, 0.1)


def window(shares, rows=600, seed=0):
    random = np.random.default_rng(seed)
    targets = random.choice(len(shares), rows, p=shares).astype(float)
    return pd.DataFrame({"_airworthy_target": targets, DUE: True, LANDED: True})


def surges(newest, *earlier, trained=USUAL, use_case=DELAY_BAND):
    labels = window(trained, 3_000, seed=9)["_airworthy_target"]
    return find_label_surges(use_case, labels, [newest, *earlier])


@pytest.mark.parametrize(
    ("shares", "named"),
    [(USUAL, []), ((0.55, 0.3, 0.15), []), ((0.3, 0.2, 0.5), [2]), ((0.7, 0.3, 0.0), [2])],
    ids=["quiet", "half as many again", "surges", "vanishes"],
)
def test_class_that_surges_or_vanishes_is_named(shares, named):
    text = surges(window(shares), window(USUAL, seed=1))
    assert [number for number, name in enumerate(DELAY_BAND.class_names) if repr(name) in text] == named


def test_figures_are_those_of_the_window_and_before():
    text = surges(window((0.3, 0.2, 0.5), seed=2), window(USUAL, seed=1))
    assert "% of 600 labels, before 1" in text or "before 9" in text


def test_windows_before_count_more_than_the_training():
    new = (0.3, 0.2, 0.5)
    assert surges(window(new), window(new, seed=1)) == ""
    assert surges(window(new), window(new, rows=50, seed=1))


@pytest.mark.parametrize("use_case", [DELAY_BAND, AIR_TIME])
def test_few_labels_or_numbers_name_nothing(use_case):
    rows = 90 if use_case is DELAY_BAND else 600
    assert surges(window((0.0, 0.0, 1.0), rows=rows), use_case=use_case) == ""


def test_window_with_missing_labels_names_nothing():
    newest = window((0.3, 0.2, 0.5))
    newest.loc[:299, LANDED] = False
    assert surges(newest) == ""


def test_quiet_windows_keep_the_rate_of_false_alarms():
    # Half of the windows name a rare class if only the factor counts.
    n_false = 0
    for seed in range(400):
        newest = window((0.98, 0.02), rows=100, seed=seed)
        earlier = window((0.98, 0.02), rows=300, seed=seed + 1_000)
        n_false += bool(surges(newest, earlier, trained=(0.98, 0.02), use_case=FLIGHT_DELAY))
    assert n_false <= 1
