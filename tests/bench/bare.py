"""`python -m tests.bench.bare`: the core calls of the tasks, in one process that has done its imports."""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from include.catalog import catalog, declaration_module
from include.data.lake.delta_tables import Lake
from include.data.snapshots import leakage_history
from include.data.snapshots import snapshot as snapshots
from include.database import ledger
from include.database.ledger import Entry
from include.database.tables import connect
from include.errors import AirworthyError
from include.modeling import gates
from include.modeling.evaluation.context import DataHistory
from include.modeling.pipeline import evaluate, train, workspace
from include.modeling.pipeline.workspace import Workspace
from include.modeling.registration import register, versions
from include.modeling.registry import load_version
from include.modeling.registry.provenance import current_provenance
from include.modeling.registry.registry import Registry
from include.modeling.served_evaluation import evaluate_served
from include.release import rollout, rollout_status, smoke_test
from include.release.strategies import strategy_of
from include.serving.gateway.staged_access import staged_token, wait_until_reachable
from include.settings import settings
from include.specifications import certified_specification, declared_specification
from tests.bench import judged
from tests.bench.daily import daily
from tests.bench.turns import TURNS, measure_in_turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pandas as pd

    from include.modeling.evaluation.evidence import Evidence
    from include.release.rollout_status import RolloutStatus

ROLLOUT_TIMEOUT_S = 180.0
# Short, so that waiting for the controller adds nothing to the measured time.
POLL_INTERVAL_S = 0.02
ACTOR = "bench"


class Steps:
    """The steps of a training and of a deployment, and the seconds that each took."""

    def __init__(self, use_case: str, run: str) -> None:
        self.use_case = catalog().use_cases[use_case]
        self.run = run
        self.engine = connect(settings().database_url)
        self.registry = Registry(settings().mlflow_uri, self.engine)
        self.lake = Lake(settings().lake_uri)
        self.trusted = settings().trusted_keys
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began

    def train(self, as_of: date) -> int:
        """Run snapshot, training, evaluation, gates and registration; return the version."""
        name = self.use_case.name
        with TemporaryDirectory() as folder:
            keys = settings().signing_key.parent
            candidate_workspace = Workspace(self.registry, self.use_case, Path(folder), keys)
            with self.step("snapshot"):
                snapshot = snapshots.create(self.use_case, self.lake, as_of)
            with self.step("train"):
                data_provenance = current_provenance(json.loads(snapshot.to_json()))
                frame = snapshots.read_snapshot(self.use_case, snapshot, self.lake)
                trained = train.train_candidate(
                    candidate_workspace,
                    declaration_module("use_cases", name).build_model(),
                    frame,
                    run_id=self._start_run(),
                    provenance=data_provenance,
                )
            with self.step("evaluate"):
                evidence = self._evaluate(candidate_workspace, trained, frame, snapshot)
            with self.step("gate"):
                verdicts = gates.judge_gates(self.use_case, evidence)
                register.record_verdicts(candidate_workspace, trained, verdicts)
                register.require_passed(trained, verdicts)
            with self.step("register"):
                version = register.register_candidate(
                    candidate_workspace, trained, verdicts, evidence=evidence, provenance=data_provenance
                )
                self._log_registration(version, trained.digest)
        return version

    def _start_run(self) -> str:
        tags = {"airworthy.dag": "bare", "airworthy.run": self.run, "airworthy.partition": ""}
        name = self.use_case.name
        return self.registry.run_for(name, tags | {"airworthy.use_case": name})

    def _evaluate(
        self,
        candidate_workspace: Workspace,
        trained: workspace.TrainedCandidate,
        frame: pd.DataFrame,
        snapshot: snapshots.Snapshot,
    ) -> Evidence:
        with self.engine.connect() as connection:
            refusals = ledger.refusals_since_promotion(connection, self.use_case.name)
        return evaluate.evaluate_candidate(
            candidate_workspace,
            trained,
            frame,
            champion_version=self.champion(),
            refusals=refusals,
            history=DataHistory(leakage_history.of_snapshot(self.engine, self.lake, snapshot)),
        )

    def deploy(self, version: int) -> None:
        """Stage, shadow, canary and promote a version; a first version skips shadow and canary."""
        name = self.use_case.name
        with self.step("begin"):
            versions.verify_version(self.registry, name, version, trusted=self.trusted)
            lease = rollout.begin(self.engine, name, version, owner=self.run, actor=ACTOR)
        with self.step("stage"):
            self._run_smoke_test(version)
        if self.champion() is not None:
            with self.step("shadow"):
                self._shift(lease, 0, self.use_case.rollout.shadow_share)
            with self.step("canary"):
                for percent in self.use_case.rollout.steps:
                    self._shift(lease, percent, 0.0)
        with self.step("promote"):
            self._promote(lease)
        with self.step("restore"):
            rollout.restore(self.engine, lease, owner=self.run, actor=ACTOR, reason="measured")

    def _run_smoke_test(self, version: int) -> None:
        name = self.use_case.name
        self.until(version)
        golden = versions.golden_of_version(self.registry, name, version, trusted=self.trusted)
        address = f"{settings().gateway_uri}/models/{name}/invocations"
        with staged_token(self.engine, name, actor=ACTOR) as token:
            headers = {"Authorization": f"Bearer {token}", "X-Airworthy-Stage": str(version)}
            wait_until_reachable(address, headers)
            result = smoke_test.run_smoke_test(
                address,
                golden,
                headers=headers,
                requests=strategy_of(self.use_case.rollout).smoke_requests,
                rate=self.use_case.slo.rate,
                maximum_p99=timedelta(milliseconds=self.use_case.slo.latency_p99_ms),
            )
            if not result.passed:
                raise SystemExit(result.reason)
            self._evaluate_served(version, address, headers)

    def _evaluate_served(self, version: int, address: str, headers: dict[str, str]) -> None:
        verified = versions.verify_version(self.registry, self.use_case.name, version, trusted=self.trusted)
        snapshot = snapshots.Snapshot.from_json(json.dumps(verified.snapshot, default=str))
        specification = certified_specification(verified.snapshot, self.use_case)
        frame = snapshots.read_snapshot(specification.use_case, snapshot, self.lake)
        test = workspace.split_snapshot(specification, frame).test
        served = evaluate_served(specification, test, verified.metrics, address, headers)
        if served.problem:
            raise SystemExit(served.problem)

    def _promote(self, lease: rollout.Lease) -> None:
        name = self.use_case.name
        versions.verify_version(self.registry, name, lease.version, trusted=self.trusted)
        rollout.promote(self.engine, lease, reason="measured", evidence={})
        with self.engine.connect() as connection:
            versions.project_aliases(self.registry, rollout.read_state(connection, name))
        self.until(lease.version)

    def _log_registration(self, version: int, digest: str) -> None:
        key = f"{self.run}/register"
        details = {"digest": digest}
        entry = Entry(self.use_case.name, "registered", ACTOR, "measured", version, details, key)
        with self.engine.begin() as connection:
            ledger.append(connection, entry)

    def champion(self) -> int | None:
        with self.engine.connect() as connection:
            return rollout.read_state(connection, self.use_case.name).champion

    def _shift(self, lease: rollout.Lease, percent: int, shadow_share: float) -> None:
        stage: Any = "canary" if percent else "shadow"
        since = rollout_status.database_time(self.engine)
        key = f"{self.run}/{lease.epoch}/{stage}_{percent}"
        rollout.shift(
            self.engine, lease, weight=100 * percent, shadow_share=shadow_share, reason="measured", key=key
        )

        def is_promotable() -> bool:
            with self.engine.connect() as connection:
                analysis = rollout_status.analyse_stage(
                    connection, self.use_case, lease.version, since=since, stage=stage
                )
            if analysis.outcome == "roll_back":
                raise SystemExit(analysis.reason)
            return analysis.outcome == "promote"

        self.until(lease.version, is_promotable)

    def until(self, version: int, also: Callable[[], bool] = lambda: True) -> RolloutStatus:
        end = time.monotonic() + ROLLOUT_TIMEOUT_S
        while time.monotonic() < end:
            with self.engine.connect() as connection:
                progress = rollout_status.read_rollout_status(connection, self.use_case.name, version)
            if progress.live and also():
                return progress
            time.sleep(POLL_INTERVAL_S)
        raise SystemExit(
            f"{self.use_case.name} version {version} did not come live, or was not judged, "
            f"in {ROLLOUT_TIMEOUT_S:g} s"
        )


def lifecycle(*, use_case: str, as_of: str, run: str) -> dict[str, Any]:
    """Train and deploy; return the seconds of every step, and of all of them."""
    began = time.perf_counter()
    steps = Steps(use_case, run)
    version = steps.train(date.fromisoformat(as_of))
    steps.deploy(version)
    return {"version": version, "seconds": time.perf_counter() - began, "steps": steps.seconds}


def canary(*, use_case: str, version: int, percent: int, run: str) -> dict[str, Any]:
    """Send a share of the traffic to an older version; 0 ends the canary."""
    steps = Steps(use_case, run)
    if percent:
        lease = rollout.begin(steps.engine, use_case, version, owner=run, actor=ACTOR)
        steps.until(version)
        rollout.shift(
            steps.engine,
            lease,
            weight=100 * percent,
            shadow_share=0.0,
            reason="measured",
            key=f"{run}/{percent}",
        )
        return asdict(steps.until(version))
    with steps.engine.connect() as connection:
        epoch = rollout.read_state(connection, use_case).epoch
    lease = rollout.Lease(use_case, version, epoch, ACTOR)
    rollout.restore(steps.engine, lease, owner=run, actor=ACTOR, reason="measured")
    return {}


def fetch(*, use_case: str, folder: str) -> dict[str, Any]:
    """Download the champion into `folder` and return its version and address; empty without a champion."""
    steps = Steps(use_case, "fetch")
    version = steps.champion()
    if version is None:
        return {}
    load_version.load_version(steps.registry, use_case, version, folder=Path(folder), trusted=steps.trusted)
    with steps.engine.connect() as connection:
        status = rollout_status.read_rollout_status(connection, use_case, version)
    return {"version": version, **asdict(status)}


def evaluation(*, use_case: str) -> dict[str, Any]:
    """Evaluate the run of the champion against the champion, and measure its predictions alone."""
    steps = Steps(use_case, "evaluation")
    case = steps.use_case
    version = steps.champion()
    if version is None:
        return {}
    with TemporaryDirectory() as folder:
        loaded = load_version.load_version(
            steps.registry, use_case, version, folder=Path(folder) / "model", trusted=steps.trusted
        )
        certificate = loaded.certificate
        logged = steps.registry.logged_model(certificate.run_id)
        if logged is None:
            return {}
        trained = workspace.TrainedCandidate(use_case, certificate.run_id, logged.model_id, logged.digest)
        snapshot = snapshots.Snapshot.from_json(json.dumps(certificate.snapshot, default=str))
        case_with_gates = judged.with_all_gates(case)
        rows = snapshots.read_snapshot(case, snapshot, steps.lake)
        frame = judged.enlarge(case, rows, catalog())
        test = workspace.split_snapshot(declared_specification(case), frame).test
        needed_work = judged.needed_work(case, loaded.model, test)

        def evaluate_rows(rows: pd.DataFrame) -> None:
            judged.evaluate(steps.registry, case_with_gates, trained, rows, version)

        large, small, predict, bootstrap = measure_in_turns(
            lambda: evaluate_rows(frame), lambda: evaluate_rows(rows), *needed_work
        )
    return {
        "rows": len(test),
        "evaluation": large,
        "predict": predict,
        "bootstrap": bootstrap,
        "small_rows": len(workspace.split_snapshot(declared_specification(case), rows).test),
        "small_evaluation": small,
        "gates": len(judged.GATES),
        "turns": TURNS,
    }


VERBS: dict[str, Callable[..., dict[str, Any]]] = {
    "lifecycle": lifecycle,
    "canary": canary,
    "fetch": fetch,
    "evaluation": evaluation,
    "daily": daily,
}

if __name__ == "__main__":
    # MLflow prints to the standard output, which carries the responses.
    responses = sys.stdout
    sys.stdout = sys.stderr
    for line in sys.stdin:
        request = json.loads(line)
        try:
            response = VERBS[request.pop("verb")](**request)
        except (AirworthyError, SystemExit) as error:
            response = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(response, default=str), file=responses, flush=True)
