from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from include.modeling.evaluation.context import ScoredSplit
from include.modeling.pipeline import suspected_labels as module
from include.modeling.pipeline.suspected_labels import (
    find_suspects,
    shortened,
    suspected_labels,
    write_suspects,
)
from include.pseudonyms import pseudonym
from include.settings import settings
from include.specifications import declared_specification
from include.use_cases.air_time import USE_CASE as AIR_TIME
from include.use_cases.flight_delay import USE_CASE as FLIGHT_DELAY
from tests.personal_columns import declare_personal


def separated(wrong=(), n_rows=200):
    """Return confident probabilities, surest of some rows, and labels that are wrong in these rows only."""
    target = np.tile([0.0, 1.0], n_rows // 2)
    noise = np.random.default_rng(0).uniform(0.0, 0.1, n_rows)
    wrong = list(wrong)
    noise[wrong] = 0.0
    predictions = np.abs(target - noise)
    target[wrong] = 1 - target[wrong]
    return predictions, target


@pytest.mark.parametrize("planted", [[], [3], [3, 10, 151]])
def test_planted_wrong_labels_are_all_found(planted):
    predictions, target = separated(planted)
    suspects = find_suspects(predictions, target, "binary")
    assert sorted(suspect.position for suspect in suspects) == planted
    assert [suspect.margin for suspect in suspects] == sorted(
        (suspect.margin for suspect in suspects), reverse=True
    )


def test_an_undecided_model_suspects_no_label():
    _, target = separated()
    assert find_suspects(np.full(200, 0.5), target, "binary") == []


def test_wrong_labels_of_several_classes_have_a_suggestion():
    target = np.tile([0.0, 1.0, 2.0], 50)
    probabilities = np.full((150, 3), 0.05)
    probabilities[np.arange(150), target.astype(int)] = 0.9
    target[4] = 2.0
    [suspect] = find_suspects(probabilities, target, "multiclass")
    assert (suspect.position, suspect.suggested) == (4, 1.0)
    assert suspect.margin == pytest.approx(0.85)


def test_a_residual_beyond_the_fences_is_suspected():
    rng = np.random.default_rng(0)
    target = rng.normal(100, 20, 300)
    predictions = target + rng.normal(0, 2, 300)
    assert find_suspects(predictions, target, "regression") == []
    target[7] += 500
    [suspect] = find_suspects(predictions, target, "regression")
    assert (suspect.position, suspect.suggested) == (7, predictions[7])


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_no_rows_and_one_class_are_no_error(task):
    assert find_suspects(np.zeros(0), np.zeros(0), task) == []
    assert find_suspects(np.full(20, 0.2), np.zeros(20), task) == []


def scored(flights, n_wrong):
    frame = flights(days=2)
    predictions, target = separated(range(n_wrong), len(frame))
    return ScoredSplit(frame, target, predictions, len(frame))


def test_suspects_name_their_row_and_are_written(flights, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_ITEMS", 2)
    split = scored(flights, 3)
    suspected = suspected_labels(declared_specification(FLIGHT_DELAY), split)
    assert (suspected.count, suspected.rows, len(suspected.items)) == (3, 80, 3)
    names = {"flight_id", "_airworthy_day", "label", "suggested", "margin"}
    assert all(set(item) == names for item in suspected.items)
    assert {item["flight_id"] for item in suspected.items} == set(split.frame["flight_id"][:3])
    assert {item["suggested"] for item in suspected.items} == {"at most 15", "above 15"}
    [path] = write_suspects(suspected, tmp_path)
    assert len(pd.read_csv(path)) == 3
    assert (shortened(suspected).count, len(shortened(suspected).items)) == (3, 2)


def test_without_suspects_there_is_no_file(flights, tmp_path):
    suspected = suspected_labels(declared_specification(FLIGHT_DELAY), scored(flights, 0))
    assert (suspected.count, suspected.items) == (0, ())
    assert write_suspects(suspected, tmp_path) == write_suspects(None, tmp_path) == []


def test_a_personal_entity_is_a_pseudonym(flights, monkeypatch):
    monkeypatch.setattr("include.specifications.catalog", lambda: declare_personal("flight_id"))
    split = scored(flights, 1)
    suspected = suspected_labels(declared_specification(AIR_TIME.model_copy(update={
        "task": "binary", "label": FLIGHT_DELAY.label,
    })), split)  # fmt: skip
    hidden = pseudonym(split.frame["flight_id"].iloc[0], settings().pseudonym_key)
    assert [item["flight_id"] for item in suspected.items] == [hidden]
