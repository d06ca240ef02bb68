"""A declaration changes between two nights; docs/how-to/change-a-model.md has the same table."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from include.data.feature_store.feature_rows import read_feature_rows
from include.data.lake.delta_tables import Lake
from include.declarations import (
    Column,
    FeatureView,
    FinalRefit,
    Label,
    Serving,
    Threshold,
    Training,
)
from include.errors import DataError, ModelError
from include.inference.model import ServedModel
from include.inference.start_check import check_packages, present_version
from include.modeling.gates import runner
from include.modeling.gates.signature import SignatureGate
from include.modeling.pipeline.input_changes import Change, declared_changes, input_changes
from include.modeling.pipeline.workspace import split_snapshot
from include.modeling.training.fit import fit_candidate
from include.monitoring import champion_check, windows
from include.release.rollout import ReleaseState
from include.specifications import certified_specification
from tests.scenarios.modeling.nights import (
    DAYS,
    ROWS_PER_DAY,
    USE_CASE,
    VIEW,
    TrainedNight,
    build_model,
    declare,
    evaluate,
    published_rows,
    train,
)
from tests.scored_frames import score_frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from include.catalog import Catalog


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
    "package upgraded": ({"trained_with": {"scikit-learn": "1.0.2"}}, COMPARED, "pass: every request"),
    "training window and final refit": (
        {"training": Training(stale_days="use", last_days=7, final_refit=FinalRefit(margin=1))}, COMPARED, "",
    ),
    "view changed": (
        {"view": OTHER_VIEW, "feature_view": "other_trips", "feature_views": ("other_trips",)},
        COMPARED,
        "pass",
    ),
}  # fmt: skip


def upgrade(champion: TrainedNight, changes: dict[str, Any]) -> tuple[TrainedNight, dict[str, Any]]:
    """Return the champion, trained with the packages of before the change, and the other changes."""
    certificate = champion.loaded.certificate
    environment = certificate.environment | changes.get("trained_with", {})
    former = replace(champion.loaded, certificate=certificate.model_copy(update={"environment": environment}))
    declared = {name: value for name, value in changes.items() if name != "trained_with"}
    return replace(champion, loaded=former), declared


@pytest.mark.parametrize(("changes", "improvement", "signature"), TABLE.values(), ids=TABLE)
def test_next_night_trains_and_is_judged(today, lake, champion, changes, improvement, signature):
    former, declared = upgrade(champion, changes)
    verdicts = evaluate(train(today(**declared), lake), former, lake)
    assert re.match(improvement, verdicts["improvement_log_loss"]), verdicts
    assert re.match(signature, verdicts["signature"]), verdicts


@pytest.mark.parametrize("changes", [row[0] for row in TABLE.values()], ids=TABLE)
def test_champion_is_watched_scored_and_reproduced(today, lake, champion, changes):
    champion, changes = upgrade(champion, changes)
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


def test_upgraded_package_is_named_where_it_matters(champion):
    certificate = champion.loaded.certificate
    assert (check_packages(certificate.environment, Serving()), input_changes(certificate)) == ((), ())
    former, _ = upgrade(champion, TABLE["package upgraded"][0])
    installed = present_version("scikit-learn")
    # At the start of a model server, as the version declared it.
    named = f"scikit-learn {installed} instead of 1.0.2"
    environment = former.loaded.certificate.environment
    (warning,) = check_packages(environment, Serving())
    assert named in warning
    with pytest.raises(ModelError, match=f"{named}.*or train anew"):
        check_packages(environment, Serving(other_packages="refuse"))
    assert input_changes(former.loaded.certificate) == (Change("scikit-learn", "1.0.2", installed),)


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
