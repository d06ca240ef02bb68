from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from include.catalog import discover
from include.scaffold import dry_run
from tests.plugins.conftest import pin_catalog

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "bike_rentals"
MODEL = f"use_cases/{NAME}.py"
LABELS = f"datasets/{NAME}_outcomes.py"
THRESHOLD = 'Threshold(metric="mae", maximum='
# Where a mistake is found first.
DATA = rf"include/{MODEL}:\d+: data of {NAME}_rows"
LABEL_DATA = rf"include/{LABELS}:\d+: data of {NAME}_outcomes"
FEATURES = rf"include/{MODEL}:\d+: features of {NAME}_features"
TRAINING = rf"include/{MODEL}:\d+: training and gates"


@dataclass(frozen=True)
class Mistake:
    """A change of a file, where it is found first, and what the message says."""

    file: str
    change: Callable[[str], str]
    location: str
    message: str


def put(old, new):
    """Return a change of a text, which has `old`."""

    def change(text):
        assert old in text
        return text.replace(old, new, 1)

    return change


def in_model(old, new, message, location=rf"include/{MODEL}: declarations"):
    return Mistake(MODEL, put(old, new), location, message)


def in_file(table, change, location, message):
    return Mistake(f"landing/{NAME}_{table}/2024-03-02.csv", change, location, message)


MISTAKES = {
    "misspelt field": in_model(
        '\n    metric="mae"', '\n    metrik="mae"',
        "metric: Field required; metrik: Extra inputs are not permitted; did you mean metric?",
    ),
    "misspelt feature": in_model(
        '"temp", "wind_speed")', '"temp", "wind_spead")',
        "features: 'wind_spead' does not exist; there are at, bike_rentals_rows_known_at, holiday, hr",
    ),
    "label that does not exist": in_model(
        'column="cnt"', 'column="biker"', "label.column: 'biker' does not exist; there are cnt, row_id"
    ),
    "label among the features": in_model(
        '"temp", "wind_speed")', '"temp", "cnt")', "features: 'cnt' does not exist; there are at, "
    ),
    "unknown type": in_model(
        'name="temp", dtype="number"', 'name="temp", dtype="float"',
        "columns[5] temp: dtype: Input should be 'string', 'integer', 'number', 'boolean' or 'timestamp'",
    ),
    "forgotten comma": Mistake(
        LABELS, put('key=("row_id",)', 'key=("row_id")'), rf"include/{LABELS}: declarations",
        "key: 'row_id' is no tuple; a comma is missing: key=('row_id',)",
    ),
    "all problems at once": in_model(
        THRESHOLD, f"Leakage(maximun=0.9), {THRESHOLD}-",
        "gates[0]: maximum: Field required; gates[0]: maximun: Extra inputs are not permitted; did you mean "
        "maximum?; gates[1]: Threshold: mae is never below 0, maximum -43.2 is impossible",
    ),
    "name of another file": in_model(
        f'USE_CASE = UseCase(\n    name="{NAME}"', 'USE_CASE = UseCase(\n    name="rentals"',
        f"name: 'rentals' must be the file's name '{NAME}', so that no two declarations share one",
    ),
    "minimum above the maximum": in_model(
        THRESHOLD, 'Threshold(metric="mae", minimum=90, maximum=',
        "gates[0]: Threshold: minimum 90.0 is above maximum 43.2: nothing can pass",
    ),
    "limit that only bad models pass": in_model(
        THRESHOLD, 'Threshold(metric="mae", minimum=',
        "gates[0]: Threshold: mae is better the smaller it is, so minimum=43.2 alone would refuse only good "
        "models; declare a maximum",
    ),
    "metric of another task": in_model(
        THRESHOLD, 'Threshold(metric="roc_auc", minimum=0.5), Threshold(metric="mae", maximum=', "roc_auc",
    ),
    "numbers declared as integers": in_model(
        'name="temp", dtype="number"', 'name="temp", dtype="integer"',
        "temp is no integer: it is a number with a fraction; declare the column as number (1,428 times, for "
        "example 6.59 in row 1", DATA,
    ),
    "column that the file lacks": in_file(
        "rows", put("wind_speed", "wind_spead"), DATA, "2024-03-02.csv lacks",
    ),
    "key twice": in_file(
        "outcomes", lambda text: f"{text}{text.splitlines()[-1]}\n", LABEL_DATA,
        "the key (row_id) is there more than once (2 times, for example 2024-03-02T23:00:00",
    ),
    "empty label": in_file(
        "outcomes", lambda text: re.sub(r",\d+\n", ",\n", text, count=1), LABEL_DATA,
        "cnt is null (1 times, for example None in row 25)",
    ),
    "build() with a wrong column": in_model(
        "\n\ndef build_model", f'\n\ndef build(f, day):\n    return f["{NAME}_rows"].tmp\n\ndef build_model',
        f"{NAME}_features: build() of 2024-03-01 failed: AttributeError: 'DataFrame' object has no attribute "
        "'tmp' (", FEATURES,
    ),
    "too few rows": in_model(
        "minimum_rows=", "minimum_rows=90_000 + ",
        "There are 960 training rows; the use case needs 90,480. Publish more days, or lower "
        "`split.minimum_rows`.", TRAINING,
    ),
    "estimator that fails": in_model(
        "    from sklearn.compose", '    raise RuntimeError("no such thing")\n    from sklearn.compose',
        f"{NAME}: build_model() failed: RuntimeError: no such thing (", TRAINING,
    ),
}  # fmt: skip


def test_customers_pass_from_data_to_gates(declare_model):
    declare_model("customers")
    steps = list(dry_run.dry_run("customers"))
    assert [step.problem for step in steps] == ["", "", ""]
    assert [step.title for step in steps] == [
        "data of customers_rows", "features of customers_features", "training and gates",
    ]  # fmt: skip
    assert steps[-1].location.startswith("include/use_cases/customers.py:")
    assert any(note.startswith("threshold_roc_auc: pass") for note in steps[-1].notes)


def test_data_that_breaks_its_declaration_ends_the_run(declare_model, home):
    declare_model("readings")
    path = home / "landing" / "readings_outcomes" / "2025-01-03.parquet"
    path.write_bytes((home / "landing" / "readings_rows" / "2025-01-03.parquet").read_bytes())
    (step,) = dry_run.dry_run("readings")
    assert step.location.startswith("include/datasets/readings_outcomes.py:")
    assert "power" in step.problem


def test_model_without_files_names_where_they_are_expected(declare_model, home):
    declare_model("customers")
    (home / "landing" / "customers_rows.csv").unlink()
    (step,) = dry_run.dry_run("customers")
    assert f"Its first file is expected at {home}/landing/customers_rows.csv" in step.problem


@pytest.mark.parametrize(("file", "n_problems"), [("customers", 0), (None, 1)])
def test_problems_of_declarations_name_their_file(declare_model, declared_folders, file, n_problems):
    if file is None:
        (declared_folders / "use_cases" / "broken.py").write_text("USE_CASE = 1\n")
    declare_model("customers")
    steps = dry_run.check_declarations()
    problems = [step for step in steps if step.problem]
    assert len(problems) == n_problems
    assert [step.location for step in problems] == ["include/use_cases/broken.py"][:n_problems]


@pytest.mark.parametrize("case", MISTAKES)
def test_mistake_is_found_with_its_place(case, declare_model, declared_folders, home, monkeypatch):
    mistake = MISTAKES[case]
    before = set(sys.modules)
    declare_model(NAME)
    for module in set(sys.modules) - before:
        if module.startswith(("include.datasets.", "include.use_cases.")):
            del sys.modules[module]
    file = (home if mistake.file.startswith("landing") else declared_folders) / mistake.file
    file.write_text(mistake.change(file.read_text()))
    declared = discover("include")
    pin_catalog(monkeypatch, declared)
    monkeypatch.setattr(dry_run, "refresh_catalog", lambda: declared)
    steps = [step for step in dry_run.check_declarations() if step.problem] or list(dry_run.dry_run(NAME))
    refused = next(step for step in steps if step.problem)
    assert re.fullmatch(mistake.location, f"{refused.location}: {refused.title}")
    assert mistake.message in refused.problem
    # What follows from a mistake is no problem of its own.
    if case == "unknown type":
        assert refused.problem == mistake.message
