from __future__ import annotations

import sys
from datetime import date
from itertools import count
from textwrap import dedent

import pytest

from include.catalog import catalog, declaration_module, discover

NUMBERS = count()
DATASET = """
    from datetime import date
    from include.declarations import Column, Dataset, FileSource
    DATASET = Dataset(
        name="{name}", owner="ann", description="Sales.", source=FileSource(path="{name}/{{partition}}.csv"),
        columns=(Column(name="id", dtype="string"), Column(name="price", dtype="number")), key=("id",),
        first_partition=date(2026, 1, 1),
    )
"""
VIEW = """
    from include.declarations import Column, FeatureView, ViewSource
    FEATURE_VIEW = FeatureView(
        name="{name}", owner="ann", description="Sales.", sources=(ViewSource(dataset="sales"),),
        entity="id", time="at",
        columns=(Column(name="id", dtype="string"), Column(name="at", dtype="timestamp"),
                 Column(name="size", dtype="number")),
    )
    def build(frames, day): ...
"""
USE_CASE = """
    from include.declarations import Label, Threshold, UseCase
    USE_CASE = UseCase(
        name="{name}", owner="ann", description="Price.", task="regression", feature_view="sale_features",
        features=("size",), label=Label(dataset="sales", column="price"), metric="mae",
        gates=(Threshold(metric="mae", maximum=9),), prediction_range=(0, 10),
    )
    def build_model(): ...
"""
GOOD = {
    "datasets/sales.py": DATASET.format(name="sales"),
    "datasets/results.py": DATASET.format(name="results").replace("key=", "lag_days=2, key="),
    "features/sale_features.py": VIEW.format(name="sale_features"),
    "use_cases/price.py": USE_CASE.format(name="price"),
}


@pytest.fixture
def declare(tmp_path, monkeypatch):
    """Return a function that discovers the declarations of a temporary package with these files."""
    monkeypatch.syspath_prepend(tmp_path)
    root = f"declared_{next(NUMBERS)}"

    def write_and_discover(**changed):
        files = GOOD | {name.replace("__", "/") + ".py": source for name, source in changed.items()}
        write_package(tmp_path / root, files)
        return discover(root)

    yield write_and_discover
    forget(root)


def write_package(root, files):
    for kind in ("datasets", "features", "use_cases"):
        (root / kind).mkdir(parents=True)
        (root / kind / "__init__.py").touch()
    (root / "__init__.py").touch()
    for name, source in files.items():
        (root / name).write_text(dedent(source))


def forget(root):
    for name in [name for name in sys.modules if name.partition(".")[0] == root]:
        del sys.modules[name]


FOREIGN_KEY = """
    from include.declarations import ForeignKey
    DATASET = DATASET.model_copy(update={{"foreign_keys": (ForeignKey({}),)}})
"""


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ('columns=("id",), dataset="results"', None),
        ('columns=("id",), dataset="shops"', "foreign_keys.dataset: 'shops' does not exist"),
        (
            'columns=("id",), dataset="results", references=("code",)',
            "foreign_keys.references: 'code' does not",
        ),
        (
            'columns=("id",), dataset="results", references=("price",)',
            "foreign_keys: id is a string, but price of results is a number",
        ),
    ],
    ids=["matches", "no dataset", "no column", "another type"],
)
def test_foreign_key_needs_a_column_of_the_same_type(declare, fields, problem):
    declared = declare(datasets__sales=DATASET.format(name="sales") + FOREIGN_KEY.format(fields))
    own_problems = [text for text in declared.problems if text.startswith("datasets/sales.py")]
    assert own_problems == [] if problem is None else problem in own_problems[0]
    assert "results" in declared.datasets


def test_declarations_of_the_project_have_no_problem():
    assert catalog().problems == ()
    assert {"flight_delay", "air_time"} <= set(catalog().use_cases)


@pytest.mark.parametrize("name", sorted(catalog().use_cases))
def test_model_of_each_use_case_can_be_built(name):
    case = catalog().use_cases[name]
    assert hasattr(declaration_module("use_cases", name).build_model(), "fit")
    assert case.feature_view in catalog().feature_views
    assert case.label.dataset in catalog().datasets


@pytest.mark.parametrize("name", sorted(catalog().use_cases))
def test_no_feature_comes_from_the_dataset_of_the_label(name):
    case = catalog().use_cases[name]
    sources = {source.dataset for source in catalog().feature_views[case.feature_view].sources}
    assert case.label.dataset not in sources


def test_valid_declarations_are_found(declare):
    declared = declare()
    assert declared.problems == ()
    assert set(declared.datasets) == {"sales", "results"}
    assert set(declared.feature_views) == {"sale_features"}
    assert declared.use_cases["price"].owner == "ann"


def test_datasets_are_found_without_importing_use_cases(declare):
    declared = declare(use_cases__demand="1 / 0")
    use_case = f"{declared.datasets.root}.use_cases.price"
    assert set(declared.datasets) == {"sales", "results"}
    assert declared.use_case_names == ["demand", "price"]
    assert use_case not in sys.modules
    assert set(declared.use_cases) == {"price"}
    assert use_case in sys.modules


def broken(source, old, new):
    assert old in source
    return source.replace(old, new)


PROBLEMS = {
    "source that cannot be imported": (
        "datasets__bad",
        broken(
            DATASET.replace("FileSource", "CustomSource"),
            'path="{name}/{{partition}}.csv"',
            'path="include.nowhere:Source"',
        ),
        ["source.path: include.nowhere cannot be imported"],
    ),
    "source with other parameters": (
        "datasets__bad",
        broken(
            DATASET.replace("FileSource", "CustomSource"),
            'path="{name}/{{partition}}.csv"',
            'path="tests.include.data.sources.tides:OtherParameters", options={{"station": "Dover"}}',
        ),
        ["source.path: OtherParameters.read cannot be called as read(dataset, partition)"],
    ),
    "unknown field": ("use_cases__bad", broken(USE_CASE, "metric=", "metirc="), ["metirc: Extra inputs"]),
    "impossible threshold": (
        "use_cases__bad",
        broken(USE_CASE, "maximum=9", "maximum=-9"),
        ["maximum -9.0 is impossible"],
    ),
    "unknown feature view": (
        "use_cases__bad",
        broken(USE_CASE, "sale_features", "sail_features"),
        ["feature_view: 'sail_features' does not exist; there are sale_features"],
    ),
    "unknown feature": (
        "use_cases__bad",
        broken(USE_CASE, '("size",)', '("sice",)'),
        ["features: 'sice' does not exist", "size"],
    ),
    "the entity as a feature": (
        "use_cases__bad",
        broken(USE_CASE, '("size",)', '("size", "id")'),
        ["features: 'id' is the entity of sale_features"],
    ),
    "a moment as a feature": (
        "use_cases__bad",
        broken(USE_CASE, '("size",)', '("at",)'),
        ["features: 'at' is a timestamp", "Derive a feature from it"],
    ),
    "when something was known as a feature": (
        "use_cases__bad",
        broken(USE_CASE, '("size",)', '("sales_known_at",)'),
        ["features: 'sales_known_at' is a timestamp"],
    ),
    "unknown slice": (
        "use_cases__bad",
        broken(
            USE_CASE,
            'Threshold(metric="mae", maximum=9),',
            'Fairness(column="size_class", metrics=("mae",), maximum_gap=1),',
        ).replace("Label, Threshold", "Fairness, Label"),
        ["gates.fairness_size_class: 'size_class' does not exist; there are at, id"],
    ),
    "unknown column of the baseline": (
        "use_cases__bad",
        broken(USE_CASE, "prediction_range", 'baseline_by=("hour",), prediction_range'),
        ["baseline_by: 'hour' does not exist"],
    ),
    "unknown label dataset": (
        "use_cases__bad",
        broken(USE_CASE, 'dataset="sales"', 'dataset="sails"'),
        ["label.dataset: 'sails'"],
    ),
    "unknown label column": (
        "use_cases__bad",
        broken(USE_CASE, '"price"', '"cost"'),
        ["label.column: 'cost'"],
    ),
    "a name that is taken": (
        "use_cases__bad",
        USE_CASE.format(name="price"),
        ["name: 'price' must be the file's name 'bad'"],
    ),
    "no model": (
        "use_cases__bad",
        broken(USE_CASE, "def build_model", "def build_modle"),
        ["build_model: define"],
    ),
    "no declaration": ("use_cases__bad", "X = 1", ["USE_CASE: define one UseCase, not NoneType"]),
    "another declaration": (
        "features__bad",
        "FEATURE_VIEW = 1",
        ["FEATURE_VIEW: define one FeatureView, not int"],
    ),
    "no build": (
        "features__bad",
        broken(VIEW, "def build", "def built"),
        ["build: at is no column of type timestamp of sales; define this function"],
    ),
    "unknown dataset": (
        "features__bad",
        broken(VIEW, '"sales"', '"sails"'),
        ["sources.dataset: 'sails'", "there are bad, results, sale_features, sales"],
    ),
    "a source that lands too late": (
        "features__bad",
        VIEW.replace('ViewSource(dataset="sales")', 'ViewSource(dataset="results")'),
        [
            "sources: results is known 3 days, 0:00:00 after a partition begins, and bad",
            "Look back 2 days, 0:00:00 further",
        ],
    ),
    "unknown type": ("datasets__bad", broken(DATASET, '"number"', '"nubmer"'), ["dtype: Input should be"]),
    "does not parse": ("datasets__bad", "DATASET = (", ["SyntaxError"]),
    "does not import": ("datasets__bad", "import nowhere_to_be_found", ["ModuleNotFoundError", "nowhere"]),
    "crashes": ("datasets__bad", "1 / 0", ["ZeroDivisionError: division by zero"]),
    "leaves": ("datasets__bad", "import sys; sys.exit('bye')", ["SystemExit: bye"]),
}


@pytest.mark.parametrize("case", PROBLEMS)
def test_invalid_declaration_is_one_problem(declare, case):
    module, source, words = PROBLEMS[case]
    declared = declare(**{module: source.replace("{name}", "bad").replace("{{", "{").replace("}}", "}")})
    assert len(declared.problems) == 1
    assert declared.problems[0].startswith(f"{module.replace('__', '/')}.py: ")
    assert all(word in declared.problems[0] for word in words), declared.problems[0]
    assert (set(declared.datasets), set(declared.use_cases)) == ({"sales", "results"}, {"price"})


def test_late_source_with_known_at_is_refused(declare):
    results = (
        GOOD["datasets/results.py"].replace("number", "timestamp").replace("key=", 'known_at="price", key=')
    )
    view = VIEW.format(name="bad").replace('ViewSource(dataset="sales")', 'ViewSource(dataset="results")')
    (problem,) = declare(datasets__results=results, features__bad=view).problems
    assert "results is known 3 days, 0:00:00 after a partition begins, and bad" in problem
    assert "Look back 2 days, 0:00:00 further" in problem


def test_dependent_declarations_name_the_invalid_one(declare):
    declared = declare(datasets__sales="1 / 0")
    first, view, case = declared.problems
    assert first == "datasets/sales.py: ZeroDivisionError: division by zero"
    assert view == (
        "features/sale_features.py: sources.dataset: the declaration of 'sales' is invalid, correct it first"
    )
    assert case.startswith("use_cases/price.py: feature_view: the declaration of 'sale_features' is invalid")


@pytest.mark.parametrize(
    "changed", ['first_partition=date(2026, 1, 5), granularity="week"', 'time_zone="Asia/Tokyo"']
)
def test_labels_need_days_in_utc(declare, changed):
    results = GOOD["datasets/results.py"].replace("lag_days=2", changed)
    if "first" in changed:
        results = results.replace("first_partition=date(2026, 1, 1),", "")
    declared = declare(
        datasets__results=results, use_cases__bad=USE_CASE.replace('"sales"', '"results"').format(name="bad")
    )
    assert len(declared.problems) == 1
    assert "label.dataset: the partitions of results are no days or hours in UTC" in declared.problems[0]


def test_all_problems_of_a_declaration_are_reported(declare):
    source = USE_CASE.format(name="bad").replace("metric=", "metirc=", 1).replace("regression", "regresion")
    problem = declare(use_cases__bad=source).problems[0]
    assert "metirc: " in problem
    assert "task: " in problem


def test_view_may_read_another_view(declare):
    nested = VIEW.format(name="nested").replace('dataset="sales"', 'dataset="sale_features", lookback_days=1')
    declared = declare(features__nested=nested)
    assert declared.problems == ()
    source = declared.sources["sale_features"]
    assert (source.key, source.first_partition, source.last_partition) == (("id",), date(2026, 1, 1), None)
    assert source.known_after == declared.feature_views["sale_features"].known_after


def test_view_that_reads_itself_is_a_problem(declare):
    views = {
        f"features__{name}": VIEW.format(name=name).replace('dataset="sales"', f'dataset="{source}"')
        for name, source in {"first": "second", "second": "first", "third": "second"}.items()
    }
    declared = declare(**views)
    assert set(declared.feature_views) == {"sale_features"}
    assert declared.problems[0] == (
        "features/first.py: sources: first reads second reads first: a view cannot be built from itself"
    )
    assert len(declared.problems) == 3


def test_view_of_an_invalid_view_is_a_problem_of_its_own(declare):
    views = {
        f"features__{name}": VIEW.format(name=name).replace('dataset="sales"', f'dataset="{source}"')
        for name, source in {"first": "absent", "second": "first"}.items()
    }
    first, second = declare(**views).problems
    assert "first.py: sources.dataset: 'absent' does not exist" in first
    assert second.startswith("features/second.py: sources.dataset: 'absent' does not exist")
