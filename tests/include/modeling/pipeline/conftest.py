"""Workspaces and a registered version of a small use case."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from include.declarations import Improvement, Split, Threshold
from include.modeling import gates
from include.modeling.pipeline import evaluate, train
from include.modeling.pipeline.workspace import Workspace
from include.modeling.registration import register
from include.modeling.registry.provenance import Provenance
from include.modeling.registry.registry import Registry
from include.use_cases.flight_delay import USE_CASE as FLIGHT_DELAY
from include.use_cases.flight_delay import build_model
from tests.include.conftest import make_flights, use_own_process

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pandas as pd

    from include.declarations import UseCase
    from include.modeling.evaluation.evidence import Evidence
    from include.modeling.gates import Verdict
    from include.modeling.pipeline.workspace import TrainedCandidate

SPLIT = Split(validation_days=5, test_days=10, minimum_rows=100)


def small() -> Any:
    """Return the use case's own estimator, quick to fit."""
    return build_model().set_params(histgradientboostingclassifier__max_iter=20)


GATES = {
    "flight_delay": (
        Threshold(metric="roc_auc", minimum=0.62),
        Improvement(metric="log_loss", minimum_gain=0.002),
    ),
    "air_time": (Threshold(metric="mae", maximum=15),),
}


def own(use_case: UseCase, **changes: Any) -> UseCase:
    """Return the use case with a shorter split, and with few gates."""
    return use_case.model_copy(update={"split": SPLIT, "gates": GATES[use_case.name], **changes})


def made_of(frame: pd.DataFrame, **changes: Any) -> Provenance:
    """Return the inputs of a model of these rows."""
    snapshot = {
        "digest": f"{len(frame)}-{frame['_airworthy_day'].max()}",
        "as_of": "2013-03-02",
        "rows": len(frame),
    }
    return Provenance(**{"snapshot": snapshot, "code_version": "abc", "lock_hash": "def"} | changes)


@pytest.fixture
def workspace(registry: Registry, keys: Path, tmp_path: Path) -> Workspace:
    (tmp_path / "work").mkdir()
    return Workspace(registry, own(FLIGHT_DELAY), tmp_path / "work", keys)


@pytest.fixture
def new_workspace(workspace: Workspace, tmp_path: Path) -> Callable[[], Workspace]:
    """Return a function that makes the workspace of the next task: the same registry, an empty folder."""

    def make() -> Workspace:
        folder = tmp_path / uuid.uuid4().hex
        folder.mkdir()
        return replace(workspace, workdir=folder)

    return make


@pytest.fixture
def new_run(registry: Registry) -> Callable[..., str]:
    """Return a function that starts an MLflow run."""

    def make(use_case: UseCase = FLIGHT_DELAY) -> str:
        run = {"airworthy.dag": "training", "airworthy.run": uuid.uuid4().hex, "airworthy.partition": ""}
        return registry.run_for(use_case.name, run)

    return make


def run_pipeline(
    new_workspace: Callable[[], Workspace],
    frame: pd.DataFrame,
    run_id: str,
    *,
    champion_version: int | None = None,
    estimator: Any = None,
) -> tuple[TrainedCandidate, Evidence, tuple[Verdict, ...], int]:
    """Return candidate, evidence, verdicts and version; each step has an empty folder."""
    inputs = made_of(frame)
    candidate = train.train_candidate(
        new_workspace(), estimator or small(), frame, run_id=run_id, provenance=inputs
    )
    evidence = evaluate.evaluate_candidate(
        new_workspace(), candidate, frame, champion_version=champion_version
    )
    verdicts = gates.judge_gates(new_workspace().use_case, evidence)
    register.record_verdicts(new_workspace(), candidate, verdicts)
    version = register.register_candidate(
        new_workspace(), candidate, verdicts, evidence=evidence, provenance=inputs
    )
    return candidate, evidence, verdicts, version


@dataclass(frozen=True)
class Registered:
    """Result of a pipeline that has ended, for tests that change nothing."""

    frame: pd.DataFrame
    run_id: str
    candidate: TrainedCandidate
    evidence: Evidence
    verdicts: tuple[Verdict, ...]
    version: int


@pytest.fixture(scope="package")
def registered(mlflow_server: str, keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Registered:
    registry = Registry(mlflow_server)
    frame = make_flights()
    run = {"airworthy.dag": "training", "airworthy.run": uuid.uuid4().hex, "airworthy.partition": ""}
    run_id = registry.run_for(FLIGHT_DELAY.name, run)

    def new_workspace() -> Workspace:
        return Workspace(registry, own(FLIGHT_DELAY), tmp_path_factory.mktemp("registered"), keys)

    with pytest.MonkeyPatch.context() as patch:
        use_own_process(patch)
        return Registered(frame, run_id, *run_pipeline(new_workspace, frame, run_id))
