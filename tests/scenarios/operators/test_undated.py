"""A table of customers without dates, declared in the one file of the how-to page, up to a version."""

from __future__ import annotations

import re
import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from airflow.sdk.exceptions import AirflowSkipException

import include.use_cases
from airworthy.operators.data_validation import DataValidationOperator
from airworthy.operators.features import (
    BuildFeaturesOperator,
    CheckLeakageOperator,
    MaterialiseFeaturesOperator,
)
from airworthy.operators.gate import ModelGateOperator
from airworthy.operators.ingestion import PublishPartitionOperator
from airworthy.operators.registration import RegisterModelOperator
from airworthy.operators.training import EvaluateModelOperator, TakeSnapshotOperator, TrainModelOperator
from include.catalog import catalog, discover
from include.data.feature_store import client
from include.data.feature_store.server import feature_server_app
from include.data.snapshots.snapshot import Snapshot
from include.modeling.registry.load_version import load_version
from include.release import rollout
from include.serving.model_server import online_features
from include.serving.model_server.app import ModelServer
from include.serving.model_server.online_features import OnlineFeatures
from include.settings import settings
from tests.conftest import free_ports
from tests.include.serving.conftest import post_invocation
from tests.include.serving.model_server.conftest import serving
from tests.plugins.conftest import pin_catalog

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "undated.md"
MODULE = "include.use_cases.churn"
TODAY = datetime.now(UTC).date()
YESTERDAY = TODAY - timedelta(days=1)


@pytest.fixture
def declared(tmp_path, monkeypatch):
    """Return the catalogue with the file of the how-to page."""
    (source,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "declared").mkdir()
    (tmp_path / "declared" / "churn.py").write_text(source)
    path = [*include.use_cases.__path__, str(tmp_path / "declared")]
    monkeypatch.setattr(include.use_cases, "__path__", path)
    discovered = discover("include")
    pin_catalog(monkeypatch, discovered)
    yield discovered
    sys.modules.pop(MODULE, None)


def customers(count=2_000, seed=0):
    """
    Return the first of 3,000 customers, in a random order; young contracts with a high fee leave.

    Fee and tenure say nearly for certain who leaves, so that any two models of them are equally good.
    """
    return _all_customers(seed)[:count].sample(frac=1, random_state=seed)


def _all_customers(seed):
    count = 3_000
    rng = np.random.default_rng(seed)
    tenure = rng.integers(0, 72, count)
    fee = rng.normal(60, 20, count).clip(5).round(2)
    odds = (fee - 60) / 5 - (tenure - 24) / 4
    return pd.DataFrame(
        {
            "customer_id": np.arange(100_000, 100_000 + count),
            "plan": _with_nulls(rng, rng.choice(["basic", "plus", "pro"], count)),
            "tenure": tenure,
            "monthly_fee": fee,
            "age": _with_nulls(rng, rng.integers(18, 90, count)),
            "paperless": _with_nulls(rng, rng.choice(["true", "false"], count)),
            "churned": np.where(rng.random(count) < 1 / (1 + np.exp(-odds)), "Yes", "No"),
        }
    )


def _with_nulls(rng, values):
    """Return the values, every tenth of them as one of the declared markers of nulls."""
    markers = rng.choice(["NA", "?"], len(values))
    return np.where(rng.random(len(values)) < 0.1, markers, values.astype(str))


@pytest.fixture
def land(lake):
    def land(rows):
        path = Path(lake.uri).parent / "landing" / "customers.csv"
        path.parent.mkdir(exist_ok=True)
        rows.to_csv(path, index=False)

    return land


@pytest.fixture
def publish_features(context):
    """Return a function that runs the tasks of the view's DAG for a day."""

    def run(day):
        name = "customer_features"
        ran = context({"partition_key": str(day), "dag_id": f"{name}_features", "run_id": f"run__{day}"})
        built = BuildFeaturesOperator(task_id="build", feature_view=name).execute(ran)
        checked = DataValidationOperator(task_id="validate", subject=name, frame=built).execute(ran)
        leakage = CheckLeakageOperator(task_id="check_leakage", feature_view=name, frame=built)
        leakage.execute(ran)
        PublishPartitionOperator(task_id="publish", table=name, frame=checked).execute(ran)
        MaterialiseFeaturesOperator(task_id="materialise", feature_view=name).execute(ran)

    return run


@pytest.fixture
def train_version(context, database, registry):
    """Return a function that runs the training DAG's tasks: snapshot, evidence and version."""

    def run():
        ran = context({"run_id": f"manual__{uuid.uuid4().hex}"})
        case = {"use_case": "churn"}
        made = {"snapshot": TakeSnapshotOperator(task_id="snapshot", **case).execute(ran)}
        made["candidate"] = TrainModelOperator(task_id="train", **case, **made).execute(ran)
        made["evidence"] = EvaluateModelOperator(task_id="evaluate", **case, **made).execute(ran)
        ModelGateOperator(task_id="gate", **case, **made).execute(ran)
        version = RegisterModelOperator(task_id="register", **case, **made).execute(ran)
        return Snapshot.from_json(made["snapshot"]), made["evidence"], version

    return run


@pytest.fixture
def refresh(declared, land, ingest, publish_features):
    """Return a function that lands customers, and ingests them and their features on a day."""

    def run(rows, day):
        land(rows)
        ingest(declared.datasets["customers"], str(day))
        publish_features(day)

    return run


@pytest.fixture
def load(registry, tmp_path, home):
    """Return a function that loads a registered version."""
    trusted = home / "keys" / "trusted"
    return lambda version: load_version(
        registry, "churn", version, folder=tmp_path / f"v{version}", trusted=trusted
    )


@pytest.fixture
def database_settings(database, monkeypatch):
    """Let model servers of this process use the database, and wait on a busy machine."""
    monkeypatch.setenv("AIRWORTHY_DATABASE_URL", database.url.render_as_string(hide_password=False))
    monkeypatch.setattr(online_features, "REQUEST_TIMEOUT_S", 5.0)
    settings.cache_clear()


@pytest.mark.usefixtures("database_settings")
def test_customers_become_a_version_and_are_replaced(declared, refresh, train_version, load, lake, database):
    assert declared.problems == ()
    refresh(customers(), YESTERDAY)
    snapshot, evidence, version = train_version()
    assert (snapshot.rows, set(snapshot.days)) == (2_000, {str(YESTERDAY)})
    assert evidence["rows"]["test"] == pytest.approx(400, abs=60)
    assert (evidence["unit"], evidence["leakage"]["undated"]) == ("groups", True)
    loaded = load(version)
    assert loaded.model.positive == "Yes"
    certificate = loaded.certificate
    assert certificate.label == "customers.churned is Yes"
    assert certificate.split == "split at random by customer_id, seed 0: 15% validation, 20% test"
    with pytest.raises(AirflowSkipException, match=f"rows that were read on {YESTERDAY}"):
        refresh(customers(), TODAY)
    # A newer file: 500 other customers, and 100 have left it.
    newer_rows = customers(2_500)[:-100]
    refresh(newer_rows, TODAY)
    _promote(database, version)
    newer, evidence, _ = train_version()
    assert (newer.rows, set(newer.days)) == (2_400, {str(TODAY)})
    # A customer of both files is in the same part, so that the champion never saw a test row.
    assert (evidence["overlap"], evidence["champion"]["overlap"]) == (0, 0)
    _check_monitoring(database, lake, certificate)
    left = set(customers()["customer_id"]) - set(newer_rows["customer_id"])
    _check_lookup(database, [*newer_rows["customer_id"][:2], *sorted(left)[:2]])
    _check_answers(database, loaded, newer_rows)


def _check_lookup(database, keys):
    """Look up two customers of the newer file, and two that have left it."""
    with client.open_store(database.url) as store:
        view = catalog().feature_views["customer_features"]
        online = client.look_up(store, view, {"customer_id": keys})
    assert online["plan"].notna().tolist() == [True, True, False, False]


def _check_answers(database, loaded, rows):
    """Ask a model server by the keys of customers, of whom some have nulls, and with a null."""
    requested = pd.concat([rows[:3], *(rows[rows[name].isin(["NA", "?"])][:2] for name in ("age", "plan"))])
    selection = catalog().features_of(catalog().use_cases["churn"])
    sent = {"plan": None, "tenure": 3, "monthly_fee": 80.5, "age": None, "paperless": None}
    with (
        client.open_store(database.url) as store,
        serving(feature_server_app(store), free_ports(1)[0]) as uri,
    ):
        # The first look-up of a feature server takes longer.
        client.look_up(store, catalog().feature_views["customer_features"], {"customer_id": [-1]})
        for records in ([{"customer_id": int(key)} for key in requested["customer_id"]], [sent]):
            model_server = ModelServer("churn", 1, loaded.model, OnlineFeatures(uri, selection))
            response = post_invocation(model_server, json={"dataframe_records": records})
            assert response.status_code == 200, response.text
            assert len(response.json()["predictions"]) == len(records)


def _check_monitoring(database, lake, certificate):
    """Monitor the rows that landed last; of customers that the champion knows no label is news."""
    # Evidently takes seconds to import.
    from include.monitoring import champion_check

    case = catalog().use_cases["churn"]
    with database.connect() as connection:
        state = rollout.read_state(connection, "churn")
        champion = champion_check.champion_context(case, state, certificate, lake)
        window = champion_check.read_window(champion, connection, lake)
        assert len(window.inputs) == 2_400
        assert champion_check.check_drift(champion, window).outcome == "no_drift"
        quality = champion_check.check_quality(champion, window, connection, lake)
    assert (quality.outcome, quality.predictions) == ("inconclusive", 0)


def _promote(database, version):
    lease = rollout.begin(database, "churn", version, owner="earlier", actor="ann")
    rollout.promote(database, lease, reason="the first", evidence={})
