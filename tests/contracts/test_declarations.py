"""What every declaration must keep to, the next one too."""

from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass
from datetime import date, timedelta
from textwrap import dedent

import numpy as np
import pandas as pd
import pytest

from include.catalog import catalog, declaration_module, discover
from include.data.features import build as features
from include.data.snapshots.target_encoding import encode
from include.data.sources.files import Landing
from include.modeling.evaluation.metrics import predict
from tests.contracts.frames import generate

DAY = date(2013, 7, 1)
FOUND = catalog()
KINDS = {"datasets": FOUND.datasets, "features": FOUND.feature_views, "use_cases": FOUND.use_cases}
EVERYTHING = [(kind, name) for kind, declared in KINDS.items() for name in declared]
every_view = pytest.mark.parametrize("view", FOUND.feature_views.values(), ids=lambda view: view.name)
every_case = pytest.mark.parametrize("case", FOUND.use_cases.values(), ids=lambda case: case.name)


@pytest.mark.parametrize(("kind", "name"), EVERYTHING, ids=lambda part: part)
def test_a_declaration_is_named_after_its_file(kind, name):
    declared = KINDS[kind][name]
    assert declared.name == name
    assert inspect.getfile(declaration_module(kind, name)).endswith(f"/include/{kind}/{name}.py")


@pytest.mark.parametrize(("kind", "name"), EVERYTHING, ids=lambda part: part)
def test_a_declaration_has_an_owner_and_says_what_it_is(kind, name):
    declared = KINDS[kind][name]
    assert declared.owner.strip()
    assert declared.description.rstrip().endswith(".")


def test_no_two_declarations_share_a_name():
    names = [name for _, name in EVERYTHING]
    assert sorted(names) == sorted(set(names))


def test_every_dataset_lands_in_a_place_of_its_own():
    paths = [Landing("/landing").location(dataset, DAY) for dataset in FOUND.datasets.values()]
    assert len(set(paths)) == len(paths)


@pytest.mark.parametrize("dataset", FOUND.datasets.values(), ids=lambda dataset: dataset.name)
def test_every_day_of_a_dataset_lands_in_a_place_of_its_own(dataset):
    landing = Landing("/landing")
    assert landing.location(dataset, DAY) != landing.location(dataset, DAY + timedelta(days=1))


@dataclass
class Tables:
    """A lake that has generated rows of every day of every dataset."""

    count: int = 300

    def read(self, table, days):
        columns = FOUND.datasets[table].columns
        return pd.concat(generate(columns, self.count, day).assign(day=f"{day}") for day in sorted(days))


@every_view
def test_a_feature_view_builds_exactly_the_columns_that_it_declares(view):
    build = declaration_module("features", view.name).build
    built = features.build_features(view, build, Tables(), [DAY], datasets=FOUND.datasets)
    assert [*built.columns] == [*(column.name for column in view.columns), "day"]
    assert len(built) > 0
    assert built[view.entity].is_unique


@every_view
def test_building_features_changes_none_of_the_frames_it_is_given(view):
    frames = {source.dataset: Tables().read(source.dataset, [DAY]) for source in view.sources}
    before = {name: frame.copy() for name, frame in frames.items()}
    declaration_module("features", view.name).build(frames, DAY)
    for name, frame in frames.items():
        pd.testing.assert_frame_equal(frame, before[name])


@every_case
def test_no_feature_comes_from_the_dataset_of_the_label(case):
    key = set(FOUND.datasets[case.label.dataset].key)
    landed_late = {column.name for column in FOUND.datasets[case.label.dataset].columns} - key
    assert set(case.features) & landed_late == set()
    view = FOUND.feature_views[case.feature_view]
    assert {column.name for column in view.columns} & landed_late == set()


@every_case
def test_a_label_can_be_joined_by_the_entity_of_the_features(case):
    assert FOUND.feature_views[case.feature_view].entity in FOUND.datasets[case.label.dataset].key


@every_case
def test_no_feature_tells_the_rows_apart_or_is_a_moment(case):
    view = FOUND.feature_views[case.feature_view]
    assert {view.entity, view.time} & set(case.features) == set()


@every_case
def test_every_model_is_a_new_untrained_one_with_the_methods_of_its_task(case):
    build = declaration_module("use_cases", case.name).build_model
    model = build()
    needed = "predict" if case.task == "regression" else "predict_proba"
    assert callable(model.fit)
    assert callable(getattr(model, needed))
    assert build() is not model


@every_case
def test_a_model_learns_from_what_the_feature_view_declares_and_predicts_in_its_range(case):
    view = FOUND.feature_views[case.feature_view]
    rows = generate(view.columns, 400, DAY)[list(case.features)]
    labels = generate(FOUND.datasets[case.label.dataset].columns, 400, DAY)[case.label.column]
    target = encode(case.label, labels.astype(float).fillna(labels.astype(float).median()))
    model = declaration_module("use_cases", case.name).build_model().fit(rows, target)
    answers = predict(model, case.task, rows)
    low, high = case.prediction_range
    assert answers.shape == ((400, len(case.label.classes)) if case.label.classes else (400,))
    assert np.isfinite(answers).all()
    assert (answers >= low).all()
    assert (answers <= high).all()


@every_case
def test_a_model_answers_values_that_it_has_never_seen(case):
    view = FOUND.feature_views[case.feature_view]
    rows, later = (generate(view.columns, 400, day)[list(case.features)] for day in (DAY, date(2014, 1, 1)))
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
    found = discover(with_a_third)
    assert found.problems == ()
    assert set(found.use_cases) == {*FOUND.use_cases, "departure_delay"}
    assert callable(declaration_module("use_cases", "departure_delay", with_a_third).build_model().fit)


def test_what_is_declared_already_is_not_touched_by_a_third_model(with_a_third):
    found = discover(with_a_third)
    assert found.datasets == FOUND.datasets
    assert found.feature_views == FOUND.feature_views
    assert {name: found.use_cases[name] for name in FOUND.use_cases} == FOUND.use_cases
