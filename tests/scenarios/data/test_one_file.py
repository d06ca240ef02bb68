"""Dataset, feature view and use case in one file, and without dates."""

from __future__ import annotations

from textwrap import dedent

import pytest

from include.catalog import declaration_module
from tests.include import test_catalog
from tests.include.test_catalog import USE_CASE, broken

declare = test_catalog.declare

ONE_FILE = """
    from include.declarations import (
        Column, Dataset, FeatureView, FileSource, Label, Split, Threshold, UseCase, ViewSource
    )
    DATASET = Dataset(
        name="customers", owner="ann", description="Customers.", source=FileSource(path="customers.csv"),
        whole=True, key=("id",),
        columns=(
            Column(name="id", dtype="integer"), Column(name="fee", dtype="number"),
            Column(name="spent", dtype="number"),
        ),
    )
    FEATURE_VIEW = FeatureView(
        name="customer_features", owner="ann", description="Customers.",
        sources=(ViewSource(dataset="customers"),), entity="id", columns=(Column(name="id", dtype="integer"),
        Column(name="fee", dtype="number")),
    )
    USE_CASE = UseCase(
        name="worth", owner="ann", description="Worth.", task="regression", feature_view="customer_features",
        features=("fee",), label=Label(dataset="customers", column="spent"), metric="mae",
        gates=(Threshold(metric="mae", maximum=9),), prediction_range=(0, 10), split=Split(by="entity"),
    )
    def build_model(): ...
"""


def test_one_file_declares_dataset_view_and_use_case(declare):
    declared = declare(use_cases__worth=ONE_FILE)
    assert declared.problems == ()
    assert set(declared.datasets) == {"sales", "results", "customers"}
    assert set(declared.feature_views) == {"sale_features", "customer_features"}
    assert set(declared.use_cases) == {"price", "worth"}
    assert not declared.feature_views["customer_features"].is_dated
    root = declared.datasets.root
    modules = {
        declaration_module(kind, name, root).__name__
        for kind, name in (
            ("datasets", "customers"),
            ("features", "customer_features"),
            ("use_cases", "worth"),
        )
    }
    assert modules == {f"{root}.use_cases.worth"}


MISFITS = {
    "split by time": (', split=Split(by="entity")', "", "split: rows of customer_features have no time"),
    "column of another type": (
        'Column(name="fee", dtype="number")),\n    )\n    USE_CASE',
        'Column(name="fee", dtype="string")),\n    )\n    USE_CASE',
        "build: fee is no column of type string of customers",
    ),
    "partitions": (
        'FileSource(path="customers.csv"),\n        whole=True',
        'FileSource(path="{partition}.csv"), first_partition="2026-01-01"',
        "time: customers has partitions",
    ),
    "another key": ('key=("id",)', 'key=("id", "fee")', "entity: without a time there is one row of each id"),
    "label elsewhere": (
        'Label(dataset="customers", column="spent")',
        'Label(dataset="sales", column="price")',
        "label.dataset: rows without a time have their label beside them, in customers",
    ),
    "a name that is taken": ('name="customers"', 'name="sales"', "name: 'sales' is declared in another file"),
}


@pytest.mark.parametrize("case", MISFITS)
def test_undated_declarations_that_do_not_fit_are_named(declare, case):
    old, new, message = MISFITS[case]
    declared = declare(use_cases__worth=broken(ONE_FILE, old, new))
    assert declared.problems[0].startswith("use_cases/worth.py: ")
    assert message in declared.problems[0]
    assert "price" in declared.use_cases


def test_dated_rows_are_not_split_at_random_nor_read_whole(declare):
    case = USE_CASE.format(name="price").replace(
        "prediction_range", 'split=Split(by="entity"), prediction_range'
    )
    (problem,) = declare(use_cases__price=case.replace("import Label", "import Label, Split")).problems
    assert "split: rows of sale_features have a time" in problem


def test_file_of_one_use_case_that_fails_is_one_problem(declare):
    (problem,) = declare(use_cases__worth=f"{dedent(ONE_FILE)}\n1 / 0\n").problems
    assert problem == "use_cases/worth.py: ZeroDivisionError: division by zero"
