"""All problems of a file are one import error, each with its field."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from include.declarations import Column, Threshold
from include.declarations.problems import collected_problems, problems_of
from include.errors import DeclarationError
from tests.include.test_catalog import DATASET, USE_CASE, VIEW, declare

__all__ = ["declare"]


def text_of(template, name, *changes):
    text = template.format(name=name)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


def problem_of(declared):
    (problem,) = [text for text in declared.problems if "correct it first" not in text]
    return problem


def test_all_wrong_columns_are_named_with_their_places(declare):
    price = ('name="price", dtype="number"', 'name="Price", dtype="float"')
    text = text_of(DATASET, "sales", ('dtype="string"', 'dtype="text"'), price)
    problem = problem_of(declare(datasets__sales=text))
    assert problem.startswith("datasets/sales.py: columns[0] id: dtype: Input should be 'string', 'integer'")
    assert "; columns[1] Price: name: String should match pattern" in problem
    assert "; columns[1] Price: dtype: Input should be 'string'" in problem
    assert "key" not in problem


def test_wrong_fields_and_parts_are_named_together(declare):
    text = text_of(DATASET, "sales", ('dtype="string"', 'dtype="text"'), ("owner=", "ownr="))
    problem = problem_of(declare(datasets__sales=text))
    for part in ("columns[0] id: dtype", "owner: Field required", "ownr: Extra inputs are not permitted"):
        assert part in problem


def test_problems_of_several_declarations_are_named(declare):
    text = text_of(USE_CASE, "price", ("maximum=9", "maximum=-9"), ('metric="mae",\n', 'metric="mea",\n'))
    problem = problem_of(declare(use_cases__price=text))
    assert "gates[0]: Threshold: mae is never below 0" in problem
    assert "metric: unknown metric mea; there are accuracy, " in problem


def test_declaration_that_is_never_used_is_a_problem(declare):
    text = text_of(DATASET, "sales") + '    SPARE = Column(name="spare", dtype="float")\n'
    assert "datasets/sales.py: Column spare: dtype: Input" in problem_of(declare(datasets__sales=text))


def test_code_that_fails_on_a_wrong_part_names_the_part(declare):
    text = text_of(DATASET, "sales", ('dtype="number"', 'dtyp="number"'))
    problem = problem_of(declare(datasets__sales=text + "    DATASET.columns[1].dtype.upper()\n"))
    assert "columns[1] price: dtype: Field required" in problem
    assert "AttributeError" not in problem


def test_wrong_module_that_another_imports_is_a_problem(declare):
    view = "    from ..datasets.sales import DATASET" + VIEW.format(name="sale_features")
    wrong = text_of(DATASET, "sales", ('dtype="number"', 'dtype="float"'))
    declared = declare(datasets__sales=wrong, features__sale_features=view)
    assert "sale_features" not in declared.feature_views
    assert "sales" not in declared.datasets
    assert any(text.startswith("datasets/sales.py: columns[1] price: dtype") for text in declared.problems)


COMMAS = {
    "gates": (
        USE_CASE,
        ("use_cases", "price"),
        ('gates=(Threshold(metric="mae", maximum=9),)', 'gates=(Threshold(metric="mae", maximum=9))'),
        "gates: Threshold(…) is no tuple; a comma is missing: gates=(Threshold(…),)",
    ),
    "sources": (
        VIEW,
        ("features", "sale_features"),
        ('(ViewSource(dataset="sales"),)', '(ViewSource(dataset="sales"))'),
        "sources: ViewSource(…) is no tuple; a comma is missing: sources=(ViewSource(…),)",
    ),
    "key": (
        DATASET,
        ("datasets", "sales"),
        ('key=("id",)', 'key=("id")'),
        "key: 'id' is no tuple; a comma is missing: key=('id',)",
    ),
    "features": (
        USE_CASE,
        ("use_cases", "price"),
        ('("size",)', '("size")'),
        "features: 'size' is no tuple; a comma is missing: features=('size',)",
    ),
}


@pytest.mark.parametrize("case", COMMAS)
def test_forgotten_comma_is_said(declare, case):
    template, (package, name), change, expected = COMMAS[case]
    problem = problem_of(declare(**{f"{package}__{name}": text_of(template, name, change)}))
    assert problem == f"{package}/{name}.py: {expected}"


def test_declarations_raise_at_once_where_nothing_collects():
    with pytest.raises(ValidationError) as refusal:
        Column(name="a", dtype="float")
    (problem,) = problems_of(refusal.value)
    assert problem.startswith("dtype: Input should be")


def test_errors_of_other_code_are_raised_as_they_are():
    with pytest.raises(ZeroDivisionError), collected_problems():
        Threshold(metric="mae", maximum=1 / 0)
    with pytest.raises(DeclarationError, match=r"^Threshold: .*give a minimum"), collected_problems():
        Threshold(metric="mae")
