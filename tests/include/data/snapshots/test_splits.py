from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from include.data.snapshots.splits import split_rows
from include.declarations import Split
from include.errors import DataError

SPLIT = Split(validation_days=2, test_days=1, minimum_rows=6)
REGRESSION = {"embargo_days": 0, "entity": ["customer_id"]}
CLASSIFIER = REGRESSION | {"class_names": ("No", "Yes")}
BY_ENTITY = Split(by="entity", minimum_rows=100)


@pytest.fixture
def labelled():
    def build(days=6, target=(0, 1)):
        keys = [f"2013-01-{day + 1:02}" for day in range(days)]
        return pd.DataFrame(
            {
                "_airworthy_day": np.repeat(keys, len(target)).astype(object),
                "_airworthy_target": list(target) * days,
            }
        )

    return build


def test_no_day_is_in_two_parts_and_later_parts_have_later_days(labelled):
    parts = split_rows(labelled().sample(frac=1, random_state=0), SPLIT, **CLASSIFIER)
    days = [sorted(part["_airworthy_day"].unique()) for part in (parts.train, parts.validation, parts.test)]
    assert days == [
        ["2013-01-01", "2013-01-02", "2013-01-03"], ["2013-01-04", "2013-01-05"], ["2013-01-06"]
    ]  # fmt: skip


def test_window_limits_training_days_only(labelled):
    split = SPLIT.model_copy(update={"minimum_rows": 2})
    parts = split_rows(labelled(), split, last_days=2, **CLASSIFIER)
    days = [sorted(part["_airworthy_day"].unique()) for part in (parts.train, parts.validation, parts.test)]
    assert days == [["2013-01-02", "2013-01-03"], ["2013-01-04", "2013-01-05"], ["2013-01-06"]]


def test_too_short_a_window_is_an_error(labelled):
    with pytest.raises(DataError, match=r"or raise `training\.last_days`"):
        split_rows(labelled(), SPLIT, last_days=2, **CLASSIFIER)


def test_validation_can_be_left_out(labelled):
    parts = split_rows(labelled(), Split(validation_days=0, test_days=1, minimum_rows=1), **CLASSIFIER)
    assert (len(parts.train), len(parts.validation), len(parts.test)) == (10, 0, 2)


@pytest.mark.parametrize(
    ("days", "target", "message"),
    [
        (0, (0, 1), "There are 0 days of labelled rows; validation and test need 3"),
        (3, (0, 1), "There are 3 days of labelled rows; validation and test need 3"),
        (5, (0, 1), "There are 4 training rows; the use case needs 6"),
        (6, (1, 1), "All 6 training rows are Yes"),
    ],
)
def test_too_little_to_learn_from_is_an_error(labelled, days, target, message):
    with pytest.raises(DataError, match=message):
        split_rows(labelled(days, target), SPLIT, **CLASSIFIER)


def test_a_test_day_of_one_class_cannot_judge(labelled):
    frame = labelled()
    with pytest.raises(DataError, match="All 1 test rows are No"):
        split_rows(
            frame[(frame["_airworthy_day"] < "2013-01-06") | (frame["_airworthy_target"] == 0)],
            SPLIT,
            **CLASSIFIER,
        )


def test_equal_numbers_are_no_class(labelled):
    assert len(split_rows(labelled(target=(5.0, 5.0)), SPLIT, **REGRESSION).train) == 6


def parts_of(labelled, days, **knobs):
    of_labels = knobs.pop("of_labels", 1)
    parts = split_rows(
        labelled(days),
        Split(**{"validation_days": 2, "test_days": 1, "minimum_rows": 1} | knobs),
        embargo_days=of_labels,
        entity=["customer_id"],
    )
    return [day_numbers(part) for part in (parts.train, parts.validation, parts.test)]


def day_numbers(part):
    return sorted(int(day[-2:]) for day in part["_airworthy_day"].unique())


def test_embargo_excludes_days_without_landed_labels(labelled):
    assert parts_of(labelled, 9) == [[1, 2, 3, 4], [6, 7], [9]]
    assert parts_of(labelled, 9, of_labels=2) == [[1, 2], [5, 6], [9]]


def test_a_use_case_may_declare_its_own_embargo(labelled):
    assert parts_of(labelled, 9, embargo_days=0) == [[1, 2, 3, 4, 5, 6], [7, 8], [9]]
    assert parts_of(labelled, 9, embargo_days=3, validation_days=0) == [[1, 2, 3, 4, 5], [], [9]]


def test_embargo_counts_calendar_days_without_rows_too(labelled):
    frame = labelled(9)
    parts = split_rows(
        frame[frame["_airworthy_day"] != "2013-01-08"],
        Split(validation_days=0, test_days=1, minimum_rows=1),
        **CLASSIFIER | {"embargo_days": 1},
    )
    assert parts.train["_airworthy_day"].max() == "2013-01-07"


def test_embargo_that_leaves_no_training_day_is_an_error(labelled):
    with pytest.raises(DataError, match=r"There are 6 days .* need 3, each after an embargo of 2"):
        parts_of(labelled, 6, of_labels=2)


def customers(count=2_000, first=0):
    ids = range(first, first + count)
    return pd.DataFrame(
        {
            "_airworthy_day": "2026-01-01",
            "customer_id": ids,
            "_airworthy_target": [number % 2 for number in ids],
        }
    )


def keys_of(parts):
    return [set(part["customer_id"].astype(str)) for part in (parts.train, parts.validation, parts.test)]


def test_entities_are_split_at_random_in_the_declared_shares():
    train, validation, test = keys_of(split_rows(customers(), BY_ENTITY, **CLASSIFIER))
    assert len(train | validation | test) == len(train) + len(validation) + len(test) == 2_000
    assert (len(test), len(validation)) == (pytest.approx(400, abs=50), pytest.approx(300, abs=50))


def test_an_entity_keeps_its_part_when_other_rows_land():
    before = keys_of(split_rows(customers(), BY_ENTITY, **CLASSIFIER))
    new = customers(1_500, first=1_000).sample(frac=1, random_state=0)
    after = keys_of(split_rows(new.astype({"customer_id": str}), BY_ENTITY, **CLASSIFIER))
    for old_part, new_part in zip(before, after, strict=True):
        assert {key for key in new_part if int(key) < 2_000} == {key for key in old_part if int(key) >= 1_000}


def test_another_seed_chooses_other_entities():
    first = split_rows(customers(), BY_ENTITY, **CLASSIFIER).test
    second = split_rows(customers(), Split(by="entity", seed=1, minimum_rows=100), **CLASSIFIER).test
    assert len(set(first["customer_id"]) & set(second["customer_id"])) < 150


def test_validation_entities_can_be_left_out():
    split = Split(by="entity", validation_share=0, minimum_rows=100)
    assert split_rows(customers(), split, **CLASSIFIER).validation.empty


@pytest.mark.parametrize(
    ("count", "message"),
    [(2, "leaves none for .*Land a file of more rows"), (100, r"There are \d\d training rows.*Land a file")],
)
def test_too_few_entities_are_an_error(count, message):
    with pytest.raises(DataError, match=message):
        split_rows(customers(count), BY_ENTITY, **CLASSIFIER)
