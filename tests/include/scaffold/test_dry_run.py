from __future__ import annotations

import pytest

from include.scaffold import dry_run


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
