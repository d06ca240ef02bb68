"""Declarations that are valid by themselves and cannot be met together: each is one import error."""

from __future__ import annotations

import pytest

from tests.include.test_catalog import DATASET, GOOD, USE_CASE, VIEW, declare

__all__ = ["declare"]

WIDE = VIEW.replace(
    'Column(name="size", dtype="number")',
    'Column(name="size", dtype="number"), Column(name="count", dtype="integer", nullable=True),\n'
    '             Column(name="shop", dtype="string"), Column(name="is_new", dtype="boolean")',
).format(name="sale_features")
GATES = """
    from include.declarations import Fairness, GoldenCase, GoldenPredictions, Robustness, Rollout
    from datetime import timedelta
    USE_CASE = UseCase(
        **dict(USE_CASE)
        | dict(features=("size", "count", "shop", "is_new"), feature_views=())
        | dict({fields})
    )
"""
WHOLE_ROW = 'dict(size=1.5, count=None, shop="north", is_new=True)'


def case_with(fields):
    """Return the file of a use case with these fields, whose view has columns of all types."""
    return USE_CASE.format(name="price") + GATES.format(fields=fields)


def golden(**changed):
    case = f'GoldenCase(name="calm", row=dict({WHOLE_ROW}, **{changed!r}), maximum=9)'
    return f"gates=(GoldenPredictions(cases=({case},)),)"


# File, its text, and the problem; None where the declarations fit.
DECLARED = {
    "all types": ("use_cases/price", case_with('baseline_by=("shop",)'), None),
    "baseline of a moment": (
        "use_cases/price",
        case_with('baseline_by=("at",)'),
        "baseline_by: at is a timestamp",
    ),
    "baseline of the entity": (
        "use_cases/price",
        case_with('baseline_by=("id",)'),
        "baseline_by: id is an entity",
    ),
    "fairness of a text": (
        "use_cases/price",
        case_with('gates=(Fairness(column="shop", metrics=("mae",), maximum_gap=1),)'),
        None,
    ),
    "fairness of a moment": (
        "use_cases/price",
        case_with('gates=(Fairness(column="at", metrics=("mae",), maximum_gap=1),)'),
        "gates.fairness_at.column: at is a timestamp",
    ),
    "fairness of the entity": (
        "use_cases/price",
        case_with('gates=(Fairness(column="id", metrics=("mae",), maximum_gap=1),)'),
        "gates.fairness_id.column: id is an entity",
    ),
    "noise on numbers": (
        "use_cases/price",
        case_with(
            'gates=(Robustness(noise=dict(size=1, count=1), unseen=("shop",), extremes=("size",), '
            'missing=("shop", "is_new", "size"), tolerance=1),)'
        ),
        None,
    ),
    "noise that is rounded away": (
        "use_cases/price",
        case_with("gates=(Robustness(noise=dict(size=0.5, count=0.5), tolerance=1),)"),
        "gates.robustness.noise: count is an integer, and noise of 0.5 is rounded away",
    ),
    "noise on text": (
        "use_cases/price",
        case_with("gates=(Robustness(noise=dict(shop=1), tolerance=1),)"),
        "gates.robustness.noise: shop is a string, and noise is for columns of type integer or number",
    ),
    "extremes on text and truth": (
        "use_cases/price",
        case_with('gates=(Robustness(extremes=("shop", "is_new")),)'),
        "gates.robustness.extremes: shop is a string, is_new is a boolean",
    ),
    "unseen on a number": (
        "use_cases/price",
        case_with('gates=(Robustness(unseen=("size",)),)'),
        "gates.robustness.unseen: size is a number",
    ),
    "golden row": ("use_cases/price", case_with(golden(size=2)), None),
    "golden text of a number": (
        "use_cases/price",
        case_with(golden(size="large")),
        "gates.golden_predictions.calm: size is 'large', but the column is a number",
    ),
    "golden fraction of an integer": (
        "use_cases/price",
        case_with(golden(count=1.5)),
        "gates.golden_predictions.calm: count is 1.5, but the column is a integer",
    ),
    "golden number of a truth": (
        "use_cases/price",
        case_with(golden(is_new=1)),
        "gates.golden_predictions.calm: is_new is 1, but the column is a boolean",
    ),
    "golden null of what is never null": (
        "use_cases/price",
        case_with(golden(shop=None)),
        "gates.golden_predictions.calm: shop is None, but the column is not nullable",
    ),
    "threshold of the wrong direction": (
        "use_cases/price",
        USE_CASE.format(name="price").replace("maximum=9", "minimum=9"),
        "mae is better the smaller it is, so minimum=9 alone would refuse only good models",
    ),
    "threshold of both directions": (
        "use_cases/price",
        USE_CASE.format(name="price").replace("maximum=9", "minimum=2, maximum=9"),
        None,
    ),
    "patience below the bake time": (
        "use_cases/price",
        case_with("rollout=Rollout(bake=timedelta(seconds=9), patience=timedelta(seconds=5))"),
        "patience 0:00:05 must be above bake 0:00:09",
    ),
    "label dataset without the entity": (
        "datasets/sales",
        DATASET.format(name="sales").replace('"id"', '"code"'),
        "label.dataset: sales has no column id, by which its labels are joined to rows of sale_features",
    ),
    "label dataset with another type of entity": (
        "datasets/sales",
        DATASET.format(name="sales").replace('"id", dtype="string"', '"id", dtype="integer"'),
        "label.dataset: id is a integer in sales and a string in sale_features",
    ),
    "path of another dataset": (
        "datasets/sales",
        DATASET.format(name="sales").replace('path="sales/', 'path="./results//'),
        "source.path: results/{partition}.csv is the path of results too",
    ),
    "path that begins with a slash": (
        "datasets/sales",
        DATASET.format(name="sales").replace('path="sales/', 'path="/results/'),
        "source.path: results/{partition}.csv is the path of results too",
    ),
    "view with the name of a dataset": (
        "features/results",
        WIDE.replace("sale_features", "results"),
        "name: 'results' is a dataset too, and both would be the table results; rename the view",
    ),
    "stability of a moment": (
        "features/sale_features",
        WIDE.replace('time="at",', 'time="at", stability=Stability(columns=("at",)),').replace(
            "import Column", "import Stability, Column"
        ),
        "stability.columns: at is a timestamp",
    ),
    "stability of the key": (
        "datasets/sales",
        DATASET.format(name="sales")
        .replace("key=", 'stability=Stability(columns=("id",)), key=')
        .replace("import Column", "import Stability, Column"),
        "stability.columns: id is the key",
    ),
    "stability of a part of the key": (
        "datasets/sales",
        DATASET.format(name="sales")
        .replace('key=("id",)', 'stability=Stability(columns=("id",)), key=("id", "price")')
        .replace("import Column", "import Stability, Column"),
        None,
    ),
}


@pytest.mark.parametrize("case", DECLARED)
def test_declaration_that_cannot_be_met_is_refused(declare, case):
    file, text, problem = DECLARED[case]
    files = {"features/sale_features": WIDE} | {file: text}
    declared = declare(**{name.replace("/", "__"): content for name, content in files.items()})
    if problem is None:
        assert declared.problems == ()
        assert declared.use_cases["price"]
        return
    assert problem in " ".join(declared.problems)
    blamed = "use_cases/price" if problem.startswith("label.dataset") else file
    assert any(text.startswith(f"{blamed}.py: ") and problem in text for text in declared.problems)
    dependent = {"features/results": set(), "datasets/sales": {"features/sale_features", "use_cases/price"}}
    dependent["features/sale_features"] = {"use_cases/price"}
    allowed = {blamed} | dependent.get(file, set())
    assert {text.partition(".py: ")[0] for text in declared.problems} <= allowed


PASSED_ON = """
    from include.declarations import Column, FeatureView, ViewSource
    FEATURE_VIEW = FeatureView(
        name="{name}", owner="ann", description="Sales.", sources=(ViewSource(dataset="{source}"),),
        entity="id", time="at",
        columns=(Column(name="id", dtype="string"), Column(name="at", dtype="timestamp"),
                 Column(name="price", dtype="number")),
    )
"""
TIMED_SALES = DATASET.format(name="sales").replace(
    'Column(name="price"', 'Column(name="at", dtype="timestamp"), Column(name="price"'
)


@pytest.mark.parametrize(
    ("build", "problem"),
    [
        ("", "'price' is the label sales.price, which copies passes on from prices passes on from sales"),
        ("    def build(frames, day): ...", None),
    ],
    ids=["as it is", "built"],
)
def test_label_that_views_pass_on_is_no_feature(declare, build, problem):
    declared = declare(
        datasets__sales=TIMED_SALES,
        features__prices=PASSED_ON.format(name="prices", source="sales"),
        features__copies=PASSED_ON.format(name="copies", source="prices") + build,
        use_cases__price=USE_CASE.format(name="price")
        .replace("sale_features", "copies")
        .replace("size", "price"),
    )
    if problem is None:
        assert declared.problems == ()
    else:
        (message,) = declared.problems
        assert message.startswith("use_cases/price.py: ")
        assert problem in message


def test_all_problems_of_a_use_case_are_named_at_once(declare):
    text = case_with(
        'baseline_by=("at",), gates=(Robustness(noise=dict(shop=1), unseen=("size",), tolerance=1),)'
    )
    (problem,) = declare(features__sale_features=WIDE, use_cases__price=text).problems
    assert "baseline_by: at is a timestamp" in problem
    assert "gates.robustness.noise: shop is a string" in problem


def test_good_declarations_have_no_problem(declare):
    assert declare().problems == ()
    assert len(GOOD) == 4
