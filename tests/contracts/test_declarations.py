"""What every declaration must keep to, the next one too."""

from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from textwrap import dedent

import numpy as np
import pandas as pd
import pytest

from include.catalog import catalog, declaration_module, discover
from include.data.features import build as features
from include.data.lake.partition_columns import PartitionSet, with_partition_columns
from include.data.snapshots.target_encoding import encode
from include.data.sources.files import Landing
from include.modeling.evaluation.metrics import predict
from include.partitions import day_of
from tests.contracts.frames import generate

DAY = date(2013, 7, 1)
HOUR = datetime(2013, 7, 1, 8, tzinfo=UTC)
CATALOG = catalog()
KINDS = {"datasets": CATALOG.datasets, "features": CATALOG.feature_views, "use_cases": CATALOG.use_cases}
DECLARATIONS = []
for kind_name, declared_of_kind in KINDS.items():
    DECLARATIONS += [(kind_name, name) for name in declared_of_kind]
every_view = pytest.mark.parametrize("view", CATALOG.feature_views.values(), ids=lambda view: view.name)
every_case = pytest.mark.parametrize("case", CATALOG.use_cases.values(), ids=lambda case: case.name)


@pytest.mark.parametrize(("kind", "name"), DECLARATIONS, ids=lambda part: part)
def test_a_declaration_is_named_after_its_file(kind, name):
    declared = KINDS[kind][name]
    assert declared.name == name
    assert inspect.getfile(declaration_module(kind, name)).endswith(f"/include/{kind}/{name}.py")


@pytest.mark.parametrize(("kind", "name"), DECLARATIONS, ids=lambda part: part)
def test_a_declaration_has_an_owner_and_says_what_it_is(kind, name):
    declared = KINDS[kind][name]
    assert declared.owner.strip()
    assert declared.description.rstrip().endswith(".")


def test_no_two_declarations_share_a_name():
    names = [name for _, name in DECLARATIONS]
    assert sorted(names) == sorted(set(names))


def test_every_dataset_lands_in_a_place_of_its_own():
    paths = [Landing("/landing").location(dataset, DAY) for dataset in CATALOG.datasets.values()]
    assert len(set(paths)) == len(paths)


@pytest.mark.parametrize("dataset", CATALOG.datasets.values(), ids=lambda dataset: dataset.name)
def test_every_day_of_a_dataset_lands_in_a_place_of_its_own(dataset):
    landing = Landing("/landing")
    assert landing.location(dataset, DAY) != landing.location(dataset, DAY + timedelta(days=1))


@dataclass
class Tables:
    """A lake that has generated rows of every day of every dataset, and no record of their publication."""

    count: int = 300
    uri: str = "/no/such/lake"
    storage_options: dict[str, str] = field(default_factory=dict)
    connection: str = ""

    def read(self, table, partitions):
        columns = CATALOG.datasets[table].columns
        return pd.concat(
            with_partition_columns(generate(columns, self.count, day_of(partition)), partition)
            for partition in sorted(partitions)
        )


def partition_of(view):
    """Return a day, or an hour of it."""
    return HOUR if view.granularity == "hour" else DAY


@every_view
def test_feature_view_build_returns_declared_columns(view):
    build = declaration_module("features", view.name).build
    built = features.build_features(view, build, Tables(), [partition_of(view)], datasets=CATALOG.datasets)
    parts = PartitionSet.of([partition_of(view)]).columns
    assert [*built.columns] == [*(column.name for column in view.columns), *parts]
    assert len(built) > 0
    assert built[view.entity].is_unique


@every_view
def test_feature_view_build_leaves_its_inputs_unchanged(view):
    windows = features.source_windows(view, Tables(), [partition_of(view)], datasets=CATALOG.datasets)
    frames = next(windows)[1]
    before = {name: frame.copy() for name, frame in frames.items()}
    declaration_module("features", view.name).build(frames, partition_of(view))
    for name, frame in frames.items():
        pd.testing.assert_frame_equal(frame, before[name])


def feature_columns(case):
    """Return the columns of all feature views of a use case, each name once."""
    columns = {}
    for name in case.feature_views:
        columns |= {column.name: column for column in CATALOG.feature_views[name].columns}
    return columns.values()


@every_case
def test_no_feature_comes_from_the_dataset_of_the_label(case):
    key = set(CATALOG.datasets[case.label.dataset].key)
    landed_late = {column.name for column in CATALOG.datasets[case.label.dataset].columns} - key
    assert set(case.features) & landed_late == set()
    assert {column.name for column in feature_columns(case)} & landed_late == set()


@every_case
def test_a_label_can_be_joined_by_the_entity_of_the_features(case):
    assert CATALOG.feature_views[case.feature_view].entity in CATALOG.datasets[case.label.dataset].key


@every_case
def test_no_feature_tells_the_rows_apart_or_is_a_moment(case):
    for name in case.feature_views:
        view = CATALOG.feature_views[name]
        assert {*view.keys, view.time} & set(case.features) == set()


@every_case
def test_build_model_returns_new_estimator_with_task_methods(case):
    build = declaration_module("use_cases", case.name).build_model
    model = build()
    needed = "predict" if case.task == "regression" else "predict_proba"
    assert callable(model.fit)
    assert callable(getattr(model, needed))
    assert build() is not model


@every_case
def test_model_fitted_on_declared_columns_predicts_in_range(case):
    rows = generate(feature_columns(case), 400, DAY)[list(case.features)]
    labels = generate(CATALOG.datasets[case.label.dataset].columns, 400, DAY)[case.label.column]
    target = encode(case.label, labels.astype(float).fillna(labels.astype(float).median()))
    model = declaration_module("use_cases", case.name).build_model().fit(rows, target)
    predictions = predict(model, case.task, rows)
    low, high = case.prediction_range
    assert predictions.shape == ((400, len(case.label.classes)) if case.label.classes else (400,))
    assert np.isfinite(predictions).all()
    assert (predictions >= low).all()
    assert (predictions <= high).all()


@every_case
def test_a_model_answers_values_that_it_has_never_seen(case):
    columns = feature_columns(case)
    rows, later = (generate(columns, 400, day)[list(case.features)] for day in (DAY, date(2014, 1, 1)))
    target = pd.Series(np.arange(400) % max(len(case.label.classes), 2))
    model = declaration_module("use_cases", case.name).build_model().fit(rows, target)
    assert np.isfinite(predict(model, case.task, later)).all()


THIRD = """
    from include.declarations import Label, Threshold, UseCase
    USE_CASE = UseCase(
        name="departure_delay", owner="ann", description="Minutes late at the gate.", task="regression",
        feature_view="flight_features", features=("hour", "distance"),
        label=Label(dataset="arrivals", column="dep_delay"), metric="mae",
        gates=(Threshold(metric="mae", maximum=30),), prediction_range=(-120, 2880),
    )
    def build_model():
        from sklearn.dummy import DummyRegressor
        return DummyRegressor()
"""


@pytest.fixture
def with_a_third(tmp_path, monkeypatch):
    """Return a package with the project's declarations and, in one more file, a third use case."""
    monkeypatch.syspath_prepend(tmp_path)
    root = "with_a_third"
    for kind, declared in KINDS.items():
        folder = tmp_path / root / kind
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
        for name in declared:
            (folder / f"{name}.py").write_text(inspect.getsource(declaration_module(kind, name)))
    (tmp_path / root / "__init__.py").touch()
    (tmp_path / root / "use_cases" / "departure_delay.py").write_text(dedent(THIRD))
    yield root
    for name in [name for name in sys.modules if name.partition(".")[0] == root]:
        del sys.modules[name]


def test_a_third_model_is_one_file(with_a_third):
    discovered = discover(with_a_third)
    assert discovered.problems == ()
    assert set(discovered.use_cases) == {*CATALOG.use_cases, "departure_delay"}
    assert callable(declaration_module("use_cases", "departure_delay", with_a_third).build_model().fit)


def test_third_model_leaves_existing_declarations_unchanged(with_a_third):
    discovered = discover(with_a_third)
    assert discovered.datasets == CATALOG.datasets
    assert discovered.feature_views == CATALOG.feature_views
    assert {name: discovered.use_cases[name] for name in CATALOG.use_cases} == CATALOG.use_cases
