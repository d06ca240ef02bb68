"""A declaration changes between two nights; docs/how-to/change-a-model.md has the same table."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from include.catalog import Catalog, catalog
from include.certificates.certificate import Certificate
from include.data.feature_store.feature_rows import read_feature_rows
from include.data.lake.delta_tables import Lake
from include.data.snapshots import snapshot as snapshots
from include.data.snapshots.version_rows import version_rows
from include.declarations import (
    Column,
    FeatureView,
    FinalRefit,
    Improvement,
    Label,
    Split,
    Threshold,
    Training,
    UseCase,
    ViewSource,
)
from include.errors import DataError
from include.feature_values import specified_kinds
from include.inference.model import Interface, ServedModel
from include.modeling.evaluation.context import ChampionInput, PackagedModel, build_context
from include.modeling.gates import runner
from include.modeling.gates.signature import SignatureGate
from include.modeling.pipeline.champion import champion_rows
from include.modeling.pipeline.collect_evidence import collect_evidence
from include.modeling.pipeline.input_changes import declared_changes
from include.modeling.pipeline.workspace import split_snapshot
from include.modeling.registry.load_version import LoadedVersion
from include.modeling.training.fit import fit_candidate
from include.monitoring import champion_check, windows
from include.release.rollout import ReleaseState
from include.specifications import certified_specification
from tests.scored_frames import score_frame

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST = date(2013, 3, 1)
DAYS = [FIRST + timedelta(days=number) for number in range(16)]
ROWS_PER_DAY = 40
FLIGHTS = catalog().feature_views["flight_features"]
VIEW = FeatureView(
    name="trips",
    owner="a",
    description="d",
    sources=(ViewSource(dataset="flights"),),
    entity="flight_id",
    time="scheduled_departure",
    horizon=FLIGHTS.horizon,
    columns=(
        Column(name="flight_id", dtype="string"),
        Column(name="scheduled_departure", dtype="timestamp"),
        Column(name="carrier", dtype="string"),
        Column(name="hour", dtype="integer"),
        Column(name="distance", dtype="number"),
        Column(name="wind", dtype="number"),
        Column(name="rain", dtype="number", nullable=True),
    ),
)
USE_CASE = UseCase(
    name="late",
    owner="a",
    description="d",
    task="multiclass",
    feature_view="trips",
    features=("carrier", "hour", "wind"),
    label=Label(dataset="arrivals", column="arr_delay", bands=(15, 60), classes=("on_time", "late", "lost")),
    metric="log_loss",
    gates=(Threshold(metric="log_loss", maximum=1.0), Improvement(metric="log_loss", minimum_gain=0.001)),
    prediction_range=(0, 1),
    split=Split(validation_days=0, test_days=5, embargo_days=0, minimum_rows=100),
    training=Training(stale_days="use"),
)


def build_model(features: tuple[str, ...]) -> Any:
    """Return an estimator of any features: it encodes text, and fills gaps."""
    texts = [name for name in features if name.rpartition(".")[2] == "carrier"]
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = make_column_transformer((encoder, texts), remainder=SimpleImputer())
    return make_pipeline(columns, LogisticRegression(max_iter=500))


def published_rows() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    count = ROWS_PER_DAY * len(DAYS)
    day = np.repeat([f"{day}" for day in DAYS], ROWS_PER_DAY)
    number = np.tile(np.arange(ROWS_PER_DAY), len(DAYS))
    return pd.DataFrame(
        {
            "flight_id": [f"{row_day}-{row}" for row_day, row in zip(day, number, strict=True)],
            "scheduled_departure": pd.to_datetime([f"{row_day}T12:00Z" for row_day in day]),
            "carrier": rng.choice(["AA", "UA"], count),
            "hour": rng.integers(5, 23, count),
            "distance": rng.uniform(100, 2_500, count),
            "wind": rng.normal(10, 3, count),
            "rain": np.where(rng.random(count) < 0.2, np.nan, rng.random(count)),
            "_airworthy_day": day,
        }
    )


@dataclass(frozen=True)
class TrainedNight:
    """A trained version: its declaration, snapshot, model and certificate."""

    declared: Catalog
    snapshot: snapshots.Snapshot
    loaded: LoadedVersion
    test: pd.DataFrame

    @property
    def use_case(self) -> UseCase:
        return self.declared.use_cases["late"]


def declare(view: FeatureView = VIEW, **changes: Any) -> Catalog:
    use_case = USE_CASE.model_copy(update=changes)
    views = {**catalog().feature_views, view.name: view}
    return Catalog(catalog().datasets, views, {"late": use_case})


def train(declared: Catalog, lake: Lake) -> TrainedNight:
    use_case = declared.use_cases["late"]
    snapshot = snapshots.create(use_case, lake, None, declared=declared)
    specification = snapshot.specification
    assert specification is not None
    frame = snapshots.read_snapshot(use_case, snapshot, lake, declared=declared)
    splits = split_snapshot(specification, frame)
    estimator = fit_candidate(use_case, build_model(use_case.features), splits).estimator
    types = specified_kinds(specification)
    interface = Interface("late", use_case.task, types, (0, 1), use_case.label.classes)
    certificate = Certificate.model_construct(
        snapshot=json.loads(snapshot.to_json()), label=use_case.label.description, environment={}
    )
    loaded = LoadedVersion(1, ServedModel(estimator, interface), certificate)
    return TrainedNight(declared, snapshot, loaded, splits.test)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake(str(tmp_path_factory.mktemp("lake")))
    rows = published_rows()
    lake.publish("trips", rows, DAYS, metadata={"code": "1"})
    lake.publish("other_trips", rows, DAYS, metadata={"code": "1"})
    delay = 30 * (rows["wind"] - 9) + 3 * (rows["hour"] - 12)
    arrivals = rows[["flight_id", "_airworthy_day"]].assign(arr_delay=delay)
    lake.publish("arrivals", arrivals, DAYS, metadata={"code": "1"})
    return lake


@pytest.fixture
def today(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Catalog]:
    """Return a function that makes a changed declaration that of today."""
    # The other gates need a package.
    monkeypatch.setattr(runner, "MANDATORY", {"signature": SignatureGate})

    def change(**changes: Any) -> Catalog:
        declared = declare(**changes)
        monkeypatch.setattr("include.specifications.catalog", lambda: declared)
        return declared

    return change


@pytest.fixture(scope="module")
def champion(lake: Lake) -> TrainedNight:
    return train(declare(), lake)


def evaluate(candidate: TrainedNight, champion: TrainedNight, lake: Lake) -> dict[str, str]:
    """Return the outcome and the reason of each gate by name."""
    specification = candidate.snapshot.specification
    assert specification is not None
    rows = None
    problem = ""
    try:
        rows = champion_rows(
            specification,
            champion.loaded,
            candidate.test,
            lambda others, test: version_rows(others, candidate.snapshot, lake, test),
        )
    except DataError as error:
        problem = str(error)
    use_case = candidate.use_case
    splits = split_snapshot(specification, snapshots.read_snapshot(use_case, candidate.snapshot, lake))
    former = PackagedModel(Path(), champion.loaded.model)
    context = build_context(
        use_case,
        splits,
        PackagedModel(Path(), candidate.loaded.model),
        champion=ChampionInput(1, former, rows, problem),
    )
    evidence = collect_evidence(context, overlap=0, champion_overlap=0, refusals=0)
    verdicts = runner.judge_gates(use_case, evidence)
    return {verdict.gate: f"{verdict.outcome}: {verdict.reason}" for verdict in verdicts}


def changed_view(**columns: Column | None) -> FeatureView:
    """Return the view with other columns; None removes one."""
    by_name: dict[str, Column | None] = {column.name: column for column in VIEW.columns}
    retained = (by_name | columns).values()
    return VIEW.model_copy(update={"columns": tuple(column for column in retained if column is not None)})


NUMBER_HOUR = changed_view(hour=Column(name="hour", dtype="number"))
OTHER_VIEW = VIEW.model_copy(update={"name": "other_trips"})
FOUR_CLASSES = Label(dataset="arrivals", column="arr_delay", bands=(15, 60, 90), classes=("a", "b", "c", "d"))
MOVED = USE_CASE.label.model_copy(update={"bands": (30.0, 60.0)})
RENAMED = MOVED.model_copy(update={"classes": ("on_time", "half_an_hour", "lost")})
TWO_CLASSES = Label(dataset="arrivals", column="arr_delay", bands=(15,), classes=("on_time", "late"))

# The change, and the beginning of the verdicts of `improvement_log_loss` and `signature`.
COMPARED = r"(pass|fail|inconclusive): log_loss gains"
OTHER_LABEL = "inconclusive: it could not be compared with champion 1: the label was arrivals.arr_delay"
OTHER_PREDICTION = "inconclusive: callers of champion 1 would get something else: the prediction"
REFUSED = "fail: callers of champion 1 would be refused: .*Declare a new feature nullable"
TABLE = {
    "nothing": ({}, COMPARED, "pass: every request"),
    "feature dropped": ({"features": ("carrier", "wind")}, COMPARED, REFUSED),
    "feature added": (
        {"features": (*USE_CASE.features, "distance")}, COMPARED, REFUSED,
    ),
    "nullable feature added": ({"features": (*USE_CASE.features, "rain")}, COMPARED, "pass: every request"),
    "feature replaced": (
        {"features": ("carrier", "distance", "wind")}, COMPARED, REFUSED,
    ),
    "features reordered": ({"features": ("wind", "carrier", "hour")}, COMPARED, "pass: every request"),
    "feature retyped": ({"view": NUMBER_HOUR}, COMPARED, "pass: every request"),
    "label bound moved": ({"label": MOVED}, OTHER_LABEL, "pass: every request"),
    "class renamed": ({"label": RENAMED}, OTHER_LABEL, OTHER_PREDICTION),
    "class added": ({"label": FOUR_CLASSES}, OTHER_LABEL, OTHER_PREDICTION),
    "class removed": (
        {"label": TWO_CLASSES, "task": "binary"},
        "inconclusive: it could not be compared with champion 1: the task was multiclass",
        OTHER_PREDICTION,
    ),
    "gate added": ({"gates": (*USE_CASE.gates, Threshold(metric="roc_auc", minimum=0.5))}, COMPARED, "pass"),
    "gate loosened": (
        {"gates": (Threshold(metric="log_loss", maximum=9.0), USE_CASE.gates[1])}, COMPARED, "pass",
    ),
    "split changed": ({"split": USE_CASE.split.model_copy(update={"test_days": 6})}, COMPARED, "pass"),
    "metric changed": ({"metric": "roc_auc"}, COMPARED, "pass"),
    "weights changed": (
        {"training": Training(stale_days="use", class_weights="balanced")}, COMPARED, "pass",
    ),
    "training window and final refit": (
        {"training": Training(stale_days="use", last_days=7, final_refit=FinalRefit(margin=1))}, COMPARED, "",
    ),
    "view changed": (
        {"view": OTHER_VIEW, "feature_view": "other_trips", "feature_views": ("other_trips",)},
        COMPARED,
        "pass",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "improvement", "signature"), TABLE.values(), ids=TABLE)
def test_next_night_trains_and_is_judged(today, lake, champion, changes, improvement, signature):
    verdicts = evaluate(train(today(**changes), lake), champion, lake)
    assert re.match(improvement, verdicts["improvement_log_loss"]), verdicts
    assert re.match(signature, verdicts["signature"]), verdicts


@pytest.mark.parametrize("changes", [row[0] for row in TABLE.values()], ids=TABLE)
def test_champion_is_watched_scored_and_reproduced(today, lake, champion, changes):
    declared = today(**changes).use_cases["late"]
    model = champion.loaded.model
    state = ReleaseState("late", champion=1)
    watched = champion_check.champion_context(declared, state, champion.loaded.certificate, lake)
    specification = watched.specification
    window = windows.read_partitions(lake, watched.use_case, specification.selection, DAYS[-2:])
    assert (tuple(window.inputs), watched.use_case.label) == (USE_CASE.features, USE_CASE.label)
    rows = read_feature_rows(specification.selection, lake, DAYS[-2:], names=specification.features)
    scored = score_frame(specification.use_case, specification.selection.spine, model, rows, version=1)
    assert len(scored) == 2 * ROWS_PER_DAY
    splits = split_snapshot(specification, watched.reference)
    again = fit_candidate(specification.use_case, build_model(specification.features), splits).estimator
    predicted = ServedModel(again, model.interface).predict(splits.test)
    np.testing.assert_array_equal(predicted, model.predict(champion.test))


def test_changes_since_are_named_in_a_reproduction(today, champion):
    declared = today(features=("carrier", "wind")).use_cases["late"]
    specification = certified_specification(champion.loaded.certificate.snapshot, declared)
    changes = {change.what: change for change in declared_changes(specification, declared)}
    assert changes["declared features"].then == '["carrier", "hour", "wind"]'
    assert declared_changes(specification, today().use_cases["late"]) == ()


def test_days_of_changed_build_are_refused_until_rebuilt(today, champion, tmp_path):
    lake = Lake(str(tmp_path))
    rows = published_rows()
    newest = rows[rows["_airworthy_day"] == f"{DAYS[-1]}"]
    arrivals = rows[["flight_id", "_airworthy_day"]].assign(arr_delay=30 * (rows["wind"] - 9))
    lake.publish("trips", rows, DAYS, metadata={"code": "1"})
    lake.publish("trips", newest, DAYS[-1:], metadata={"code": "2"})
    lake.publish("arrivals", arrivals, DAYS, metadata={"code": "1"})
    with pytest.raises(DataError, match=r"15 of 16 days of trips .* were built by other code"):
        train(today(training=Training()), lake)
    assert train(today(), lake).snapshot.days[1] == f"{DAYS[-1]}"
    specified = champion.snapshot.specification
    frame = read_feature_rows(specified.selection, lake, DAYS[-1:], names=specified.features)
    assert len(champion.loaded.model.predict(frame)) == ROWS_PER_DAY


def test_feature_gone_from_the_view_stops_only_the_champion(today, champion, tmp_path):
    lake = Lake(str(tmp_path))
    rows = published_rows()
    arrivals = rows[["flight_id", "_airworthy_day"]].assign(arr_delay=30 * (rows["wind"] - 9))
    is_old = rows["_airworthy_day"] < f"{DAYS[-5]}"
    lake.publish("trips", rows[is_old], DAYS[:-5], metadata={})
    lake.publish("trips", rows[~is_old].drop(columns="hour"), DAYS[-5:], metadata={})
    lake.publish("arrivals", arrivals, DAYS, metadata={})
    without_hour = today(view=changed_view(hour=None), features=("carrier", "wind"))
    verdicts = evaluate(train(without_hour, lake), champion, lake)
    expected = "inconclusive: it could not be compared with champion 1: .*: hour in 200 of 200 rows"
    assert re.match(expected, verdicts["improvement_log_loss"]), verdicts
    specified = champion.snapshot.specification
    frame = read_feature_rows(specified.selection, lake, DAYS, names=specified.features)
    with pytest.raises(DataError, match="without missing values of these features: hour in 200 of 640 rows"):
        score_frame(USE_CASE, specified.selection.spine, champion.loaded.model, frame, version=1)
