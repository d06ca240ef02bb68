from __future__ import annotations

import pytest
from pydantic import ValidationError

from include.catalog import catalog
from include.declarations import Column, Label
from include.declarations.labels import check_label_rows
from include.errors import DeclarationError

LABEL = catalog().use_cases["flight_delay"].label
ARRIVALS = catalog().datasets["arrivals"]
DAILY = catalog().feature_views["flight_features"]
HOURLY = DAILY.model_copy(update={"granularity": "hour"})


def label(**changes):
    return Label(dataset="customers", column="churned", **changes)


MISTAKES = {
    "bands that fall": ({"bands": (60, 15), "classes": ("a", "b", "c")}, "bands must rise"),
    "a class too few": ({"bands": (15, 60), "classes": ("a", "b")}, "2 bands make 3 classes"),
    "a class twice": ({"classes": ("a", "b", "a")}, "classes: a named more than once"),
    "an empty class": ({"classes": ("a", "b", "")}, "classes.2"),
    "texts and integers": ({"classes": ("a", "b", 3)}, "has texts and integers"),
    "a number as a class": ({"classes": (0.5, 1.5, 2.5)}, "classes.0"),
    "above and classes": ({"above": 15, "classes": ("a", "b", "c")}, "above and classes divide"),
    "above and positive": ({"above": 15, "positive": "Yes"}, "above and positive divide"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_inconsistent_label_is_refused(mistake):
    changes, message = MISTAKES[mistake]
    with pytest.raises(ValidationError, match=message):
        label(**changes)


FORMS = {
    "positive": ({"positive": "Yes"}, ("not Yes", "Yes"), "customers.churned is Yes"),
    "negated": ({"positive": False}, ("true", "false"), "customers.churned is false"),
    "boolean": ({}, ("false", "true"), "customers.churned"),
    "above": ({"above": 15}, ("at most 15", "above 15"), "customers.churned above 15"),
    "texts": ({"classes": ("No", "Yes, twice")}, ("No", "Yes, twice"), "customers.churned as No, Yes, twice"),
    "integers": ({"classes": (1, 2, 3)}, ("1", "2", "3"), "customers.churned as 1, 2, 3"),
    "bands": (
        {"bands": (7.5,), "classes": ("few", "many")},
        ("few", "many"),
        "customers.churned as few, many, divided at 7.5",
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_label_names_its_classes_as_the_data_does(form):
    changes, names, description = FORMS[form]
    assert (label(**changes).class_names, label(**changes).description) == (names, description)


FITTING = {
    "string": [("binary", {"positive": "Yes"}), ("multiclass", {"classes": ("a", "b", "c")})],
    "boolean": [("binary", {}), ("binary", {"positive": False})],
    "integer": [
        ("regression", {}), ("binary", {"above": 3}), ("binary", {"positive": 1}),
        ("binary", {"classes": (0, 1)}),
        ("multiclass", {"classes": (1, 2, 3)}), ("multiclass", {"bands": (1, 2), "classes": ("a", "b", "c")}),
    ],
    "number": [
        ("regression", {}), ("binary", {"above": 3}), ("binary", {"bands": (1,), "classes": ("a", "b")}),
    ],
}  # fmt: skip


@pytest.mark.parametrize("dtype", FITTING)
def test_label_of_a_fitting_column_is_accepted(dtype):
    for task, changes in FITTING[dtype]:
        label(**changes).check_column(Column(name="churned", dtype=dtype), task)


UNFIT = {
    "text above": ("string", "binary", {"above": 3}, "a binary task with above has no target; declare"),
    "text in bands": ("string", "binary", {"bands": (1,), "classes": ("a", "b")}, "with bands has no target"),
    "number of a text": ("string", "regression", {}, "regression task has no target; declare label.positive"),
    "text as it is": ("string", "binary", {}, "a binary task has no target; declare label.positive"),
    "boolean above": ("boolean", "binary", {"above": 0}, "neither above, bands nor classes"),
    "boolean classes": ("boolean", "binary", {"classes": ("a", "b")}, "neither above, bands nor classes"),
    "boolean of a regression": ("boolean", "regression", {}, "declare a binary task"),
    "number as it is": ("number", "binary", {}, "declare above or bands for a classifier"),
    "classes of a number": ("number", "multiclass", {"classes": (1, 2, 3)}, "declare above or bands"),
    "positive number": ("number", "binary", {"positive": 1}, "declare above or bands"),
    "moment": ("timestamp", "regression", {}, "such as a number of days"),
    "texts of an integer": ("integer", "multiclass", {"classes": ("1", "2", "3")}, "of type int, not '1'"),
    "truth of a text": ("string", "binary", {"positive": True}, "of type str, not True"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", UNFIT)
def test_label_of_an_unfit_column_names_the_remedy(mistake):
    dtype, task, changes, message = UNFIT[mistake]
    with pytest.raises(DeclarationError, match=f"churned of customers has type {dtype}.*{message}"):
        label(**changes).check_column(Column(name="churned", dtype=dtype), task)


def test_classes_must_be_the_allowed_values():
    column = Column(name="churned", dtype="string", allowed=("No", "Yes", "Maybe"))
    label(positive="Yes").check_column(column, "binary")
    with pytest.raises(DeclarationError, match=r"label.positive: 'yes' is none of the allowed values"):
        label(positive="yes").check_column(column, "binary")
    with pytest.raises(DeclarationError, match=r"label.classes: churned of customers may be 'Maybe'"):
        label(classes=("No", "Yes")).check_column(column, "binary")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"granularity": "hour"}, "arrivals, which comes by the hour with the key flight_id, may have"),
        (
            {"key": ("flight_id", "gate")},
            "arrivals, which comes by the day with the key flight_id, gate, may",
        ),
    ],
)
def test_hourly_rows_need_the_time_of_their_label(changes, words):
    arrivals = ARRIVALS.model_copy(update=changes)
    with pytest.raises(DeclarationError, match="rows of flight_features come by the hour") as error:
        check_label_rows(LABEL, HOURLY, arrivals)
    assert words in str(error.value)
    assert "declare label.time, the column of arrivals with the time of the event" in str(error.value)
    check_label_rows(LABEL.model_copy(update={"time": "landed_at"}), HOURLY, arrivals)
    check_label_rows(LABEL, DAILY, arrivals)


def test_one_label_per_entity_and_day_needs_no_time():
    check_label_rows(LABEL, HOURLY, ARRIVALS)
