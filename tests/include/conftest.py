"""Rows, models and keys that are small enough to be created in each test."""

from __future__ import annotations

import shutil
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from pyarrow.fs import FileSelector, FileSystem

from include.certificates.certificate import generate_keys
from include.features.flight_features import WEATHER as NIGHT_WEATHER
from include.inference.model import load_model
from include.modeling.evaluation import isolated_process
from include.modeling.packaging.package import save_package
from include.modeling.registry.registry import Registry
from include.settings import settings
from include.storage import filesystem
from include.use_cases.air_time import USE_CASE as AIR_TIME
from include.use_cases.air_time import build_model as build_air_time
from include.use_cases.flight_delay import REPORTS
from include.use_cases.flight_delay import USE_CASE as FLIGHT_DELAY
from include.use_cases.flight_delay import build_model as build_flight_delay
from tests.small_models import ROW, ModelMaker, home_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Engine

    from include.inference.model import ServedModel

ESTIMATORS = {"flight_delay": build_flight_delay, "air_time": build_air_time}
USE_CASES = {"flight_delay": FLIGHT_DELAY, "air_time": AIR_TIME}


@dataclass(frozen=True)
class StorageRoot:
    """Address on a disk or in an object store, below which there are no files yet."""

    uri: str
    options: dict[str, str] = field(default_factory=dict, repr=False)

    def write(self, path: str, content: bytes) -> None:
        filesystem.write_file(self.open(), path, content)

    def open(self) -> FileSystem:
        return filesystem.open_filesystem(self.uri, self.options)

    def files(self, folder: str) -> list[str]:
        infos = self.open().get_file_info(FileSelector(folder, recursive=True))
        return [info.path for info in infos if info.is_file]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of modules with `ON_BOTH_STORES = True` on a disk and in an object store."""
    if "storage_root" in metafunc.fixturenames and getattr(metafunc.module, "ON_BOTH_STORES", False):
        metafunc.parametrize("storage_root", ["disk", "store"], indirect=True)


@pytest.fixture
def storage_root(request: pytest.FixtureRequest, tmp_path: Path) -> StorageRoot:
    if getattr(request, "param", "disk") == "disk":
        return StorageRoot(str(tmp_path))
    store = request.getfixturevalue("object_store")
    return StorageRoot(store.address(), store.options())


def make_flights(
    first: str = "2013-01-01", days: int = 60, *, a_day: int = 40, seed: int = 0, task: str = "binary"
) -> pd.DataFrame:
    """Return rows as a snapshot of `flight_features` gives them; windy evening flights are late."""
    rng = np.random.default_rng(seed)
    count = days * a_day
    day = pd.date_range(first, periods=days).repeat(a_day)
    hour = rng.integers(5, 23, count)
    frame = pd.DataFrame(
        {
            "flight_id": [f"{d:%Y-%m-%d}-{n}" for n, d in enumerate(day)],
            "scheduled_departure": (day + pd.to_timedelta(hour, unit="h")).tz_localize("UTC"),
            "_airworthy_day": day.strftime("%Y-%m-%d"),
            "carrier": rng.choice(["AA", "B6", "UA"], count),
            "origin": rng.choice(["EWR", "JFK", "LGA"], count),
            "station": "KJFK",
            "dest": rng.choice(["BOS", "LAX", "ORD", "SFO"], count),
            "distance": rng.integers(100, 2500, count).astype(float),
            "hour": hour.astype("int64"),
            "weekday": day.weekday.astype("int64"),
        }
    )
    for name in NIGHT_WEATHER:
        frame[name] = np.where(rng.random(count) < 0.05, np.nan, rng.normal(10, 3, count))
    wind = frame["wind_speed"].fillna(10)
    if task == "binary":
        odds = (hour - 14) / 3 + (wind - 10) / 2 - 1
        frame["_airworthy_target"] = (rng.random(count) < 1 / (1 + np.exp(-odds))).astype("int64")
    else:
        frame["_airworthy_target"] = frame["distance"] / 7 + wind + rng.normal(0, 3, count)
    for name, report in zip(NIGHT_WEATHER, REPORTS, strict=True):
        frame[report] = frame[name]
    return frame


@pytest.fixture
def flights() -> Callable[..., pd.DataFrame]:
    return make_flights


@pytest.fixture(scope="session")
def estimators() -> dict[str, object]:
    """Return a small fitted estimator for each use case."""
    fitted = {}
    for name, build in ESTIMATORS.items():
        frame = make_flights(task=USE_CASES[name].task)
        fitted[name] = build().fit(frame[list(USE_CASES[name].features)], frame["_airworthy_target"])
    return fitted


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    generate_keys(folder)
    return folder


@pytest.fixture(scope="session")
def packaged_once(estimators: dict[str, object], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packaged") / "model"
    save_package(estimators["flight_delay"], FLIGHT_DELAY, make_flights(), folder)
    return folder


@pytest.fixture
def packaged(packaged_once: Path, tmp_path: Path) -> Path:
    """Return the folder of a packaged model, this test's own."""
    return shutil.copytree(packaged_once, tmp_path / "packaged")


@contextmanager
def predict_in_process(rows: pd.DataFrame) -> Iterator[isolated_process.StartPrediction]:
    """Measure a packaged model in this process: an isolated one takes seconds, and has its own tests."""
    yield lambda package: lambda: isolated_process.measure_package(package, rows)


def use_own_process(patch: pytest.MonkeyPatch) -> None:
    """Let evaluations and refits measure their models in this process."""
    for step in ("evaluate", "refit"):
        patch.setattr(f"include.modeling.pipeline.{step}.isolated_predictor", predict_in_process)


@pytest.fixture
def registry(mlflow_server: str, database: Engine, monkeypatch: pytest.MonkeyPatch) -> Registry:
    use_own_process(monkeypatch)
    return Registry(mlflow_server, database)


@pytest.fixture
def use_case() -> str:
    """Return a name that no other test uses."""
    return f"use_case_{uuid.uuid4().hex[:8]}"


@pytest.fixture
def client(mlflow_server: str) -> MlflowClient:
    return MlflowClient(mlflow_server, mlflow_server)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """Return a folder that is the AIRWORTHY_HOME of this process, with keys and ports of its own."""
    with home_at(tmp_path / "home") as folder:
        yield folder


@pytest.fixture
def make_model(home: Path) -> ModelMaker:
    return ModelMaker(home)


@pytest.fixture
def model(make_model: ModelMaker) -> ServedModel:
    """Return a loaded model that predicts 0.5."""
    return load_model(make_model("delay", 1), settings().trusted_keys)


@pytest.fixture
def row() -> dict[str, Any]:
    return dict(ROW)
