"""Fixtures to run operators: connections, a context, a lake with 20 days, certified versions."""

from __future__ import annotations

import json
import shutil
import sys
import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from sqlalchemy.dialects.postgresql import insert

from airflow.sdk.execution_time.context import OutletEventAccessors

import include.catalog
from include.certificates.certificate import generate_keys
from include.data.lake.delta_tables import Lake
from include.data.snapshots import snapshot as snapshots
from include.database.tables import live_state
from include.declarations import Label, Rollout, Split, Threshold, UseCase
from include.modeling import gates
from include.modeling.pipeline import evaluate, train, workspace
from include.modeling.registration import register
from include.modeling.registry.provenance import current_provenance
from include.modeling.registry.registry import Registry
from include.release import rollout, rollout_status
from include.settings import settings
from tests.access_rows import log_requests as log_records
from tests.include.conftest import make_flights, use_own_process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from sqlalchemy import Engine

    from include.catalog import Catalog

FEATURES = ("carrier", "distance", "hour", "wind_speed")
# Nothing listens on this port.
GATEWAY = "http://127.0.0.1:9"


@dataclass
class Task:
    """Task instance as an operator sees it; pushed values must be JSON, as in Airflow."""

    task_id: str = "some_task"
    try_number: int = 1
    max_tries: int = 0
    map_index: int = -1
    id: uuid.UUID = field(default_factory=uuid.uuid4)
    pushed: dict[str, Any] = field(default_factory=dict)

    states: dict[str, str] = field(default_factory=dict)
    # Runs of other DAGs that wait or run, by DAG.
    active_runs: dict[str, int] = field(default_factory=dict)
    # How often a task succeeded in any run.
    successes: dict[str, int] = field(default_factory=dict)

    def get_dr_count(self, *, dag_id: str, states: list[str]) -> int:
        assert states == ["queued", "running"]
        return self.active_runs.get(dag_id, 0)

    def get_task_states(
        self, *, dag_id: str, run_ids: list[str], task_ids: list[str] | None = None
    ) -> dict[str, dict[str, str]]:
        assert dag_id
        selected = {name: state for name, state in self.states.items() if not task_ids or name in task_ids}
        return dict.fromkeys(run_ids, selected)

    def get_ti_count(self, *, dag_id: str, task_ids: list[str], states: list[str]) -> int:
        assert dag_id
        assert states == ["success"]
        return sum(self.successes.get(name, 0) for name in task_ids)

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = json.loads(json.dumps(value, allow_nan=False))

    def xcom_pull(self, task_ids: str, key: str, **_: Any) -> Any:
        assert task_ids
        return self.pushed.get(key)


@pytest.fixture
def context() -> Callable[..., dict[str, Any]]:
    """Return a function that makes a task's context; `run` changes the DAG run, the rest the context."""

    def make(run: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
        task = Task()
        dag_run = {
            "dag_id": "some_dag", "run_id": "manual__2013-07-01", "run_type": "manual", "partition_key": None,
            "logical_date": None, "clear_number": 0, "triggering_user_name": None, "conf": {},
            "run_after": datetime.now(UTC),
        } | (run or {})  # fmt: skip
        return {
            "dag_run": SimpleNamespace(**dag_run),
            "ti": task,
            "task_instance": task,
            "params": {},
            "outlet_events": OutletEventAccessors(),
            "triggering_asset_events": {},
        } | changes

    return make


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    generate_keys(folder / "keys")
    return folder


@pytest.fixture(autouse=True)
def _environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AIRWORTHY_HOME", str(home))
    monkeypatch.setenv("AIRFLOW_CONN_GATEWAY_DEFAULT", json.dumps({"conn_type": "http", "host": GATEWAY}))
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """Return the empty lake of the connection `lake_default`, beside the folder `landing`."""
    extra = {"lake_uri": str(tmp_path / "lake"), "landing_uri": str(tmp_path / "landing")}
    monkeypatch.setenv("AIRFLOW_CONN_LAKE_DEFAULT", json.dumps({"conn_type": "generic", "extra": extra}))
    return Lake(extra["lake_uri"])


@pytest.fixture
def database(database: Engine, monkeypatch: pytest.MonkeyPatch) -> Engine:
    url = database.url
    parts = {"host": url.host, "port": url.port, "schema": url.database}
    parts |= {"login": url.username, "password": url.password}
    monkeypatch.setenv("AIRFLOW_CONN_AIRWORTHY_DB", json.dumps({"conn_type": "postgres", **parts}))
    return database


@pytest.fixture
def registry(mlflow_server: str, database: Engine, monkeypatch: pytest.MonkeyPatch) -> Registry:
    connection = {"conn_type": "http", "host": mlflow_server}
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps(connection))
    use_own_process(monkeypatch)
    return Registry(mlflow_server, database)


def small(name: str, **changes: Any) -> UseCase:
    """Return the declaration of a small classifier of late flights."""
    values = {
        "name": name, "owner": "ann", "description": "Late?", "task": "binary",
        "feature_view": "flight_features", "features": FEATURES, "metric": "roc_auc",
        "label": Label(dataset="arrivals", column="arr_delay", above=15),
        "gates": (Threshold(metric="roc_auc", minimum=0.55),), "prediction_range": (0, 1),
        "split": Split(validation_days=2, test_days=4, minimum_rows=100),
        "rollout": Rollout(bake=0, patience=60, minimum_requests=20, maximum_error_rate=0.1),
    }  # fmt: skip
    return UseCase(**values | changes)


def build_model() -> Any:
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import SplineTransformer, StandardScaler

    hours = make_pipeline(SplineTransformer(n_knots=3), StandardScaler())
    return make_pipeline(make_column_transformer((hours, ["hour"])), LogisticRegression())


def _add_module(use_case: UseCase, patch: pytest.MonkeyPatch) -> None:
    module = ModuleType(f"include.use_cases.{use_case.name}")
    vars(module).update(USE_CASE=use_case, build_model=build_model)
    patch.setitem(sys.modules, module.__name__, module)


def pin_catalog(monkeypatch: pytest.MonkeyPatch, pinned: Catalog) -> None:
    """Make this the catalogue of the process until the end of the test."""
    reader = SimpleNamespace(current=lambda: pinned, refresh=lambda: pinned)
    monkeypatch.setattr(include.catalog, "_READER", reader)


@pytest.fixture
def declare(monkeypatch: pytest.MonkeyPatch) -> Callable[[UseCase], UseCase]:
    """Return a function that adds a use case to the catalog, as a file in its package would."""
    discovered = include.catalog.discover("include")

    def declare(use_case: UseCase) -> UseCase:
        cases = {**discovered.use_cases, use_case.name: use_case}
        pin_catalog(monkeypatch, replace(discovered, use_cases=cases))
        _add_module(use_case, monkeypatch)
        return use_case

    return declare


@pytest.fixture
def use_case(declare: Callable[[UseCase], UseCase]) -> UseCase:
    """Return a declared use case without any trained version."""
    return declare(small(f"late_{uuid.uuid4().hex[:8]}"))


@pytest.fixture(scope="session")
def _tables(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake(str(tmp_path_factory.mktemp("tables")))
    rows = make_flights(days=20)
    days = [day.date() for day in pd.to_datetime(rows["_airworthy_day"].unique())]
    arrivals = rows[["flight_id", "_airworthy_day"]].assign(arr_delay=60.0 * rows["_airworthy_target"])
    lake.publish("flight_features", rows.drop(columns="_airworthy_target"), days, metadata={})
    lake.publish("arrivals", arrivals, days, metadata={})
    return lake


@pytest.fixture
def flown(lake: Lake, _tables: Lake) -> Lake:
    """Return the lake with features and arrivals of 20 days from 1 January on."""
    shutil.copytree(_tables.uri, lake.uri, dirs_exist_ok=True)
    return lake


@pytest.fixture(scope="session")
def _certified(
    mlflow_server: str, home: Path, _tables: Lake, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[UseCase]:
    use_case = small(f"certified_{uuid.uuid4().hex[:8]}")
    registry = Registry(mlflow_server)
    snapshot = snapshots.create(use_case, _tables, None)
    frame = snapshots.read_snapshot(use_case, snapshot, _tables)
    made_from = current_provenance(json.loads(snapshot.to_json()))
    with pytest.MonkeyPatch.context() as patch:
        _add_module(use_case, patch)
        use_own_process(patch)
        for run in ("first", "second"):
            site = workspace.Workspace(registry, use_case, tmp_path_factory.mktemp(run), home / "keys")
            tags = {"airworthy.dag": "training", "airworthy.run": run, "airworthy.partition": ""}
            run_id = registry.run_for(use_case.name, tags)
            made = train.train_candidate(site, build_model(), frame, run_id=run_id, provenance=made_from)
            evidence = evaluate.evaluate_candidate(site, made, frame)
            verdicts = gates.judge_gates(use_case, evidence)
            register.register_candidate(site, made, verdicts, evidence=evidence, provenance=made_from)
        yield use_case


@pytest.fixture
def certified(_certified: UseCase, declare: Callable[[UseCase], UseCase], registry: Registry) -> UseCase:
    """Return a declared use case with certified versions 1 and 2, trained on all of `flown`."""
    return declare(_certified)


@pytest.fixture
def champion(certified: UseCase, database: Engine) -> UseCase:
    """Return the certified use case with version 1 as its champion."""
    lease = rollout.begin(database, certified.name, 1, owner="earlier", actor="ann")
    rollout.promote(database, lease, reason="the first", evidence={})
    return certified


@pytest.fixture
def follow(database: Engine) -> Callable[..., None]:
    """Return a function that reports the desired state of a use case as the controller does."""

    def report(use_case: str, *, ready: bool = True, reason: str = "", **servers: str) -> None:
        """Report the state; `v1="127.0.0.1:9000"` is the server of version 1."""
        detail = {
            "servers": {name[1:]: {"address": address} for name, address in servers.items()},
            "reason": reason,
        }
        with database.begin() as connection:
            values = {
                "use_case": use_case,
                "generation": rollout.read_state(connection, use_case).generation,
                "ready": ready,
                "detail": detail,
            }
            statement = insert(live_state).values(values)
            connection.execute(statement.on_conflict_do_update(index_elements=["use_case"], set_=values))

    return report


@pytest.fixture
def serve(database: Engine) -> Callable[..., None]:
    """Return a function that logs one request per row, as model server and gateway do."""

    def log(
        use_case: str, version: int, role: str, *, rows: Sequence[dict[str, Any]] = ({},) * 30, **changes: Any
    ) -> None:
        row = {
            "use_case": use_case, "version": version, "role": role, "latency_ms": 4.0, "status": 200,
            "received_at": rollout_status.database_time(database), "predictions": [0.5],
        }  # fmt: skip
        sent = [
            {"request_id": f"{number}", "entity_id": f"{number}", "inputs": [inputs]}
            for number, inputs in enumerate(rows)
        ]
        log_records(database, [row | request | changes for request in sent])

    return log


@pytest.fixture
def log_requests(
    champion: UseCase, flown: Lake, serve: Callable[..., None], database: Engine
) -> Callable[..., None]:
    """Return a function that logs 300 requests of an hour ago, made of the champion's training rows."""

    def log(**changes: Any) -> None:
        rows = flown.read("flight_features", columns=list(FEATURES)).sample(300, random_state=0)
        sent = json.loads(rows.assign(**changes).to_json(orient="records"))
        moment = rollout_status.database_time(database) - timedelta(hours=1)
        serve(champion.name, 1, "champion", rows=sent, received_at=moment)

    return log
