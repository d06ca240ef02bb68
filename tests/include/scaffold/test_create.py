from __future__ import annotations

import subprocess
import sys
from itertools import product
from pathlib import Path

import pandas as pd
import pytest

from include.errors import ConflictError, DataError
from include.scaffold import create
from include.scaffold.tables import read_source_table

ROOT = Path(__file__).parents[3]
GUESSES = {
    "bike_rentals": ("cnt", None, ("date", "hr"), "regression", "row_id"),
    "customers": ("churn", "customer_id", (), "binary", "customer_id"),
    "readings": ("power", "sensor", ("measured_at",), "regression", "row_id"),
}
FEATURES = {
    "bike_rentals": ("hr", "season", "holiday", "temp", "wind_speed"),
    "customers": ("contract", "tenure", "monthly_charges", "senior_citizen", "phone_service", "age"),
    "readings": ("sensor", "load", "vibration", "running"),
}


@pytest.mark.parametrize("file", GUESSES)
def test_guesses_of_a_file_are_those_of_a_person(plan, file):
    planned = plan(file).plan
    choices = planned.choices
    guesses = (choices.label, choices.entity, choices.time, choices.task, planned.key)
    assert guesses == GUESSES[file]
    assert planned.features == FEATURES[file]


def test_key_is_made_of_columns_that_identify_a_row(plan, tmp_path):
    assert plan("readings").plan.key_parts == ("sensor", "at")
    assert plan("bike_rentals").plan.key_parts == ("at",)
    assert plan("customers").plan.key_parts == ()
    path = write_sales(tmp_path)
    model = create.plan_model(read_source_table(str(path)), None, lambda name, _, guess: guess)
    assert model.plan.key_parts == ("shop", "article", "at")
    key = model.plan.columns["row_id"].values
    assert key[0] == "S0@A0@2025-01-01T00:00:00"
    assert key.is_unique
    assert {"shop", "article"} <= set(model.plan.features)


def test_rows_that_nothing_identifies_are_counted(tmp_path):
    path = write_sales(tmp_path, repeat=2)
    planned = create.plan_model(read_source_table(str(path)), None, lambda name, _, guess: guess).plan
    assert planned.key_parts == ()
    assert list(planned.columns["row_id"].values[:2]) == ["2025-01-01T00:00:00", "2025-01-01T00:00:00#1"]


def write_sales(folder, *, repeat=1):
    """Write the sales of four articles in three shops, one row a day for each."""
    rows = []
    for day, shop, article in product(range(1, 21), range(3), range(4)):
        row = {
            "day": f"2025-01-{day:02}",
            "shop": f"S{shop}",
            "article": f"A{article}",
            "sold": day % 5 + article,
        }
        rows += repeat * [row]
    path = folder / "sales.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def test_columns_that_give_the_label_are_left_out(plan):
    planned = plan("bike_rentals").plan
    assert set(planned.excluded) == {"casual", "registered"}
    assert "linear combination" in planned.excluded["casual"]
    assert not {"casual", "registered"} & set(planned.columns)


@pytest.mark.parametrize("file", GUESSES)
def test_written_model_is_declared_without_a_problem(declare_model, file):
    declared = declare_model(file)
    assert declared.problems == ()
    assert declared.use_cases[file].features == FEATURES[file]
    assert declared.feature_views[f"{file}_features"].is_dated == (file != "customers")


@pytest.mark.parametrize("file", GUESSES)
def test_written_files_pass_the_linter_and_the_formatter(plan, file, tmp_path):
    paths = []
    for name, text in plan(file).files.items():
        paths.append(tmp_path / name.replace("/", "_"))
        paths[-1].write_text(text)
    config = ["--config", str(ROOT / "pyproject.toml"), "--no-cache", *map(str, paths)]
    for command in (["check"], ["format", "--diff"]):
        checked = subprocess.run(
            [sys.executable, "-m", "ruff", *command, *config],
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=False,
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr


def test_model_that_exists_is_not_replaced(declare_model, plan):
    declare_model("customers")
    with pytest.raises(ConflictError, match=r"customers.* exists already\. Choose another --name"):
        create.require_free(plan("customers"))


def test_model_of_a_new_name_is_free(plan, declared_folders):
    create.require_free(plan("customers"))


@pytest.mark.parametrize(
    ("question", "answer", "message"),
    [
        ("label", "chrun", "There is no column chrun; there are customer_id"),
        ("task", "regression", "--task: churn holds no numbers"),
        ("task", "guess", "--task: 'guess' is none of binary"),
        ("entity", "contract", "--entity: contract is not another value in each row"),
        ("time", "tenure", "--time: tenure holds no dates"),
    ],
)
def test_answer_that_does_not_fit_is_refused(plan, question, answer, message):
    with pytest.raises(DataError, match=message):
        plan("customers", **{question: answer})


def test_other_answers_are_taken(plan):
    planned = plan("customers", entity="none", label="age", owner="crm").plan
    assert (planned.key, planned.choices.task, planned.choices.owner) == ("row_id", "regression", "crm")
    assert not planned.copies_file
