"""A missing value means the same in training, batches, requests, look-ups, the log and drift."""

from __future__ import annotations

import json
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from include.catalog import Catalog, catalog
from include.data.feature_store.feature_rows import read_feature_rows
from include.data.lake.delta_tables import Lake
from include.data.snapshots import snapshot as snapshots
from include.declarations import (
    Column,
    DriftPolicy,
    FeatureView,
    Label,
    Split,
    Threshold,
    Training,
    UseCase,
    ViewSource,
)
from include.errors import DataError
from include.feature_values import specified_kinds
from include.inference.model import load_unverified
from include.inference.predictions import PREDICTION
from include.inference.scoring_protocol import BadRequest, frame, parse_request
from include.modeling.packaging import package
from include.modeling.packaging.package import packaging_parity, save_package
from include.modeling.pipeline.workspace import split_snapshot
from include.modeling.training.fit import fit_candidate
from include.monitoring.drift import measure_drift
from tests.scored_frames import score_frame

DAYS = [date(2013, 3, 1) + timedelta(days=number) for number in range(9)]
ROWS_PER_DAY = 40
DTYPES = {"seats": "integer", "wifi": "boolean", "fare": "number", "tailnum": "string"}
# A value of each feature as a request holds it.
SENT = {"seats": 150, "wifi": True, "fare": 99.5, "tailnum": "N1"}


def declare(*, nullable: bool) -> Catalog:
    columns = [Column(name=name, dtype=dtype, nullable=nullable) for name, dtype in DTYPES.items()]
    view = FeatureView(
        name="cabins",
        owner="a",
        description="d",
        sources=(ViewSource(dataset="flights"),),
        entity="flight_id",
        time="scheduled_departure",
        columns=(
            Column(name="flight_id", dtype="string"),
            Column(name="scheduled_departure", dtype="timestamp"),
            *columns,
        ),
    )
    use_case = UseCase(
        name="sold",
        owner="a",
        description="d",
        task="binary",
        feature_view="cabins",
        features=tuple(DTYPES),
        label=Label(dataset="arrivals", column="arr_delay", above=15),
        metric="log_loss",
        gates=(Threshold(metric="log_loss", maximum=1.0),),
        prediction_range=(0, 1),
        split=Split(validation_days=0, test_days=2, embargo_days=0, minimum_rows=50),
        training=Training(stale_days="use"),
    )
    return Catalog(catalog().datasets, {"cabins": view}, {"sold": use_case})


def published_rows(share_missing: float) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    count = ROWS_PER_DAY * len(DAYS)
    row_days = np.repeat([f"{day}" for day in DAYS], ROWS_PER_DAY)
    seats = pd.Series(rng.integers(50, 300, count), dtype="Int64")
    wifi = pd.Series(rng.random(count) < 0.5, dtype="boolean")
    fare = pd.Series(rng.uniform(10, 900, count))
    tailnum = pd.Series(rng.choice(["N1", "N2", "N3"], count), dtype=object)
    rows = pd.DataFrame({"seats": seats, "wifi": wifi, "fare": fare, "tailnum": tailnum})
    rows = rows.mask(rng.random(rows.shape) < share_missing)
    identity = {
        "flight_id": [f"f{number}" for number in range(count)],
        "scheduled_departure": pd.to_datetime([f"{day}T12:00Z" for day in row_days]),
        "_airworthy_day": row_days,
    }
    return rows.assign(**identity)


def build_model() -> object:
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = make_column_transformer((encoder, ["tailnum"]), remainder="passthrough")
    return make_pipeline(columns, HistGradientBoostingClassifier(max_iter=20, random_state=0))


class Story:
    """A model that was trained on rows, some of whose values are missing."""

    def __init__(self, folder, *, share_missing, nullable):
        self.declared = declare(nullable=nullable)
        self.use_case = self.declared.use_cases["sold"]
        self.lake = Lake(str(folder / "lake"))
        rows = published_rows(share_missing)
        self.lake.publish("cabins", rows, DAYS, metadata={})
        delay = (rows["seats"].fillna(0).astype(float) - 150) + 40 * rows["wifi"].fillna(False).astype(float)
        labels = rows[["flight_id", "_airworthy_day"]].assign(arr_delay=delay)
        self.lake.publish("arrivals", labels, DAYS, metadata={})
        self.snapshot = snapshots.create(self.use_case, self.lake, None, declared=self.declared)
        self.specification = self.snapshot.specification
        self.frame = snapshots.read_snapshot(self.use_case, self.snapshot, self.lake)
        splits = split_snapshot(self.specification, self.frame)
        estimator = fit_candidate(self.use_case, build_model(), splits).estimator
        self.package = folder / "model"
        kinds = specified_kinds(self.specification)
        save_package(estimator, self.use_case, splits.train, self.package, kinds=kinds)
        self.model = load_unverified(self.package)

    def request(self, rows):
        request = parse_request(json.dumps({"instances": rows}).encode(), "", self.model.columns)
        return self.model.predict(frame([request], self.model.columns))


@pytest.fixture(scope="module")
def own_modules():
    """Leave out the declaration's module, which there is none of."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(package, "own_modules", lambda _: [])
        patch.setattr("include.modeling.packaging.serialization.own_modules", lambda _: [])
        yield


@pytest.fixture(scope="module")
def gaps(own_modules, tmp_path_factory):
    return Story(tmp_path_factory.mktemp("gaps"), share_missing=0.2, nullable=True)


@pytest.fixture(scope="module")
def complete(own_modules, tmp_path_factory):
    return Story(tmp_path_factory.mktemp("complete"), share_missing=0, nullable=False)


def test_batch_and_request_predict_as_in_training(gaps):
    selection = gaps.specification.selection
    newest = read_feature_rows(selection, gaps.lake, DAYS[-1:], names=gaps.use_case.features)
    assert newest[list(DTYPES)].isna().any().all()
    scored = score_frame(gaps.use_case, selection.spine, gaps.model, newest, version=1)
    trained = gaps.frame[gaps.frame["_airworthy_day"] == f"{DAYS[-1]}"].set_index("flight_id")
    expected = gaps.model.predict(trained.loc[scored["flight_id"]])
    np.testing.assert_array_equal(scored[PREDICTION], expected)
    sent = json.loads(newest[list(DTYPES)].to_json(orient="records"))
    np.testing.assert_array_equal(gaps.request(sent), expected)


def test_estimator_gets_the_documented_forms(gaps):
    types = {name: str(gaps.frame[name].dtype) for name in DTYPES}
    assert types == {"seats": "float64", "wifi": "float64", "fare": "float64", "tailnum": "object"}
    assert all(value is None for value in gaps.frame["tailnum"][gaps.frame["tailnum"].isna()])
    assert gaps.model.columns == {
        "seats": "long?",
        "wifi": "boolean?",
        "fare": "double?",
        "tailnum": "string?",
    }


@pytest.mark.parametrize("name", DTYPES)
def test_null_is_taken_where_training_saw_one(gaps, name):
    null = gaps.request([SENT | {name: None}])
    without = gaps.request([{other: value for other, value in SENT.items() if other != name}])
    assert np.isfinite(null).all()
    np.testing.assert_array_equal(null, without)


@pytest.mark.parametrize("name", DTYPES)
def test_null_is_refused_where_training_saw_none(complete, name):
    with pytest.raises(BadRequest, match=f"Column {name}, row 0: None is missing, and a"):
        complete.request([SENT | {name: None}])
    rows = complete.frame.head(3)
    rows = rows.assign(**{name: rows[name].astype(object).where(rows.index > 0, None)})
    with pytest.raises(
        DataError, match=f"trained without missing values of these features: {name} in 1 of 3"
    ):
        score_frame(
            complete.use_case, complete.specification.selection.spine, complete.model, rows, version=1
        )


def test_complete_features_keep_their_types(complete):
    types = {name: str(complete.frame[name].dtype) for name in DTYPES}
    assert types == {"seats": "int64", "wifi": "bool", "fare": "float64", "tailnum": "object"}
    assert np.isfinite(complete.request([SENT])).all()


def test_declared_nullable_is_enough(own_modules, tmp_path):
    story = Story(tmp_path, share_missing=0, nullable=True)
    assert np.isfinite(story.request([dict.fromkeys(DTYPES, None) | {"fare": 1.0}])).all()


def test_golden_and_background_rows_hold_missing_values(gaps):
    for name in ("golden.json", "background.json"):
        content = json.loads((gaps.package / name).read_text())["dataframe_split"]
        rows = pd.DataFrame(content["data"], columns=content["columns"])
        assert rows.isna().any().all()
    assert packaging_parity(gaps.package, gaps.model)[1] == 0


def test_logged_requests_do_not_drift_from_training(gaps):
    columns = [gaps.specification.selection.columns[name] for name in DTYPES]
    newest = gaps.lake.read("cabins", DAYS[-5:])[list(DTYPES)]
    logged = pd.DataFrame.from_records(json.loads(newest.to_json(orient="records")))
    policy = DriftPolicy(minimum_rows=50)
    drift = measure_drift(gaps.frame, logged, columns=columns, policy=policy)
    assert drift.outcome == "no_drift", drift.per_column
    logged = logged.assign(wifi=None)
    assert measure_drift(gaps.frame, logged, columns=columns, policy=policy).per_column["wifi"]["drifted"]
