"""`python -m tests.bench.bare`: what the tasks call, in one process that has its imports done."""

from __future__ import annotations

import json
import statistics
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pandas as pd

from include.catalog import catalog, declaration_module
from include.data.lake.delta_tables import Lake
from include.data.snapshots import leakage_history
from include.data.snapshots import snapshot as snapshots
from include.database import ledger
from include.database.ledger import Entry
from include.database.tables import connect
from include.errors import AirworthyError
from include.modeling import batch_scoring, gates
from include.modeling.pipeline import evaluate, train, workspace
from include.modeling.pipeline.workspace import Workspace
from include.modeling.registration import register, versions
from include.modeling.registry import load_version as champion
from include.modeling.registry.provenance import provenance
from include.modeling.registry.registry import Registry
from include.release import rollout, rollout_status, smoke_test
from include.settings import settings
from tests.bench import judged
from tests.bench.daily import daily

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from include.inference.model import ServedModel
    from include.release.rollout_status import RolloutStatus

PATIENCE = 180.0
POLL = 0.02  # seconds; the bare process waits for the controller as impatiently as anybody could
ACTOR = "bench"
TURNS = 3
REPEATED = 4  # times the two months, for a batch worth measuring


class Steps:
    """The connections, and how long each step took."""

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
        """Return the version, after snapshot, training, evaluation, gates and registration."""
        case, name = self.use_case, self.use_case.name
        with TemporaryDirectory() as folder:
            site = Workspace(self.registry, case, Path(folder), settings().signing_key.parent)
            with self.step("snapshot"):
                snapshot = snapshots.create(case, self.lake, as_of)
            with self.step("train"):
                about = provenance(json.loads(snapshot.to_json()))
                tags = {"airworthy.dag": "bare", "airworthy.run": self.run, "airworthy.partition": ""}
                run_id = self.registry.run_for(name, tags | {"airworthy.use_case": name})
                frame = snapshots.read_snapshot(case, snapshot, self.lake)
                estimator = declaration_module("use_cases", name).build_model()
                trained = train.train_candidate(site, estimator, frame, run_id=run_id, provenance=about)
            with self.step("evaluate"):
                rival = self.champion()
                with self.engine.connect() as connection:
                    refusals = ledger.refusals_since_promotion(connection, name)
                found = evaluate.evaluate_candidate(
                    site,
                    trained,
                    frame,
                    champion_version=rival,
                    refusals=refusals,
                    leakage=leakage_history.of_snapshot(self.engine, self.lake, snapshot),
                )
            with self.step("gate"):
                verdicts = gates.judge_gates(case, found)
                register.record_verdicts(site, trained, verdicts)
                register.require_passed(trained, verdicts)
            with self.step("register"):
                version = register.register_candidate(
                    site, trained, verdicts, evidence=found, provenance=about
                )
                self._enter(version, trained.digest)
        return version

    def deploy(self, version: int) -> None:
        """Stage, shadow, canary, promote; a first version has nobody to be compared with."""
        name, registry, policy = self.use_case.name, self.registry, self.use_case.rollout
        with self.step("begin"):
            versions.verify_version(registry, name, version, trusted=self.trusted)
            lease = rollout.begin(self.engine, name, version, owner=self.run, actor=ACTOR)
        with self.step("stage"):
            address = self.until(version).address
            golden = versions.golden_of_version(registry, name, version, trusted=self.trusted)
            limit = timedelta(milliseconds=self.use_case.slo.latency_p99_ms)
            result = smoke_test.run_smoke_test(f"http://{address}", name, golden, maximum_p99=limit)
            if not result.passed:
                raise SystemExit(result.reason)
        if self.champion() is not None:
            with self.step("shadow"):
                self._shift(lease, 0, policy.shadow_share)
            with self.step("canary"):
                for percent in policy.steps:
                    self._shift(lease, percent, 0.0)
        with self.step("promote"):
            versions.verify_version(registry, name, version, trusted=self.trusted)
            rollout.promote(self.engine, lease, reason="measured", evidence={})
            with self.engine.connect() as connection:
                versions.project_aliases(registry, rollout.read_state(connection, name))
            self.until(version)
        with self.step("restore"):
            rollout.restore(self.engine, name, version, owner=self.run, actor=ACTOR, reason="measured")

    def _enter(self, version: int, digest: str) -> None:
        key, about = f"{self.run}/register", {"digest": digest}
        entry = Entry(self.use_case.name, "registered", ACTOR, "measured", version, about, key)
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

        def judged() -> bool:
            with self.engine.connect() as connection:
                found = rollout_status.analyse_stage(
                    connection, self.use_case, lease.version, since=since, stage=stage
                )
            if found.outcome == "roll_back":
                raise SystemExit(found.reason)
            return found.outcome == "promote"

        self.until(lease.version, judged)

    def until(self, version: int, also: Callable[[], bool] = lambda: True) -> RolloutStatus:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            with self.engine.connect() as connection:
                found = rollout_status.read_rollout_status(connection, self.use_case.name, version)
            if found.live and also():
                return found
            time.sleep(POLL)
        raise SystemExit(f"{self.use_case.name} version {version} did not come live in {PATIENCE:g} s")


def lifecycle(*, use_case: str, as_of: str, run: str) -> dict[str, Any]:
    """Train and deploy; return the seconds of every step, and of all of them."""
    began = time.perf_counter()
    steps = Steps(use_case, run)
    version = steps.train(date.fromisoformat(as_of))
    steps.deploy(version)
    return {"version": version, "seconds": time.perf_counter() - began, "steps": steps.seconds}


def canary(*, use_case: str, version: int, percent: int, run: str) -> dict[str, Any]:
    """Give an older version a share of the traffic; 0 ends it."""
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
        found = steps.until(version)
        return asdict(found)
    rollout.restore(steps.engine, use_case, version, owner=run, actor=ACTOR, reason="measured")
    return {}


def fetch(*, use_case: str, folder: str) -> dict[str, Any]:
    """Fetch the champion's files into `folder`; nothing is answered where there is none."""
    steps = Steps(use_case, "fetch")
    version = steps.champion()
    if version is None:
        return {}
    champion.load_version(steps.registry, use_case, version, folder=Path(folder), trusted=steps.trusted)
    with steps.engine.connect() as connection:
        return {
            "version": version,
            **asdict(rollout_status.read_rollout_status(connection, use_case, version)),
        }


def score(*, use_case: str) -> dict[str, Any]:
    """Score a month as the scoring task does, and with the estimator alone."""
    steps = Steps(use_case, "score")
    case, view = steps.use_case, catalog().feature_views[steps.use_case.feature_view]
    frame = steps.lake.read(view.name)
    frame = pd.concat([frame] * REPEATED, ignore_index=True)
    model = _champion(steps)
    features = frame[list(case.features)]
    ours, alone = _in_turns(
        lambda: batch_scoring.score_batch(case, view, model, frame, version=1),
        lambda: model.estimator.predict(features),
    )
    return {"rows": len(frame), "ours": ours, "model": alone, "turns": TURNS}


def evaluation(*, use_case: str) -> dict[str, Any]:
    """Evaluate the champion's own run anew against the champion, and only predict what that needs."""
    steps = Steps(use_case, "evaluation")
    case, version = steps.use_case, steps.champion()
    if version is None:
        return {}
    with TemporaryDirectory() as folder:
        held = champion.load_version(
            steps.registry, use_case, version, folder=Path(folder) / "model", trusted=steps.trusted
        )
        about = held.certificate
        logged = steps.registry.logged(about.run_id)
        if logged is None:
            return {}
        trained = workspace.TrainedCandidate(use_case, about.run_id, logged.model_id, logged.digest)
        snapshot = snapshots.Snapshot.from_json(json.dumps(about.snapshot, default=str))
        judged_case = judged.judged(case)
        few = snapshots.read_snapshot(case, snapshot, steps.lake)
        frame = judged.enlarged(case, few, catalog())
        test = workspace.split_snapshot(case, frame).test
        scoring_alone, bootstrap = judged.needed(case, held.model, test)

        def whole(rows: pd.DataFrame) -> None:
            judged.evaluate(steps.registry, judged_case, trained, rows, version)

        ours, alone = _in_turns(lambda: whole(frame), scoring_alone)
        fixed, _ = _in_turns(lambda: whole(few), lambda: None)
        resampled, _ = _in_turns(bootstrap, lambda: None)
    found = {"rows": len(test), "ours": ours, "scoring": alone, "bootstrap": resampled}
    found |= {"fixed": fixed, "few": len(workspace.split_snapshot(case, few).test)}
    return found | {"gates": len(judged.GATES), "turns": TURNS}


def _champion(steps: Steps) -> ServedModel:
    version = steps.champion()
    if version is None:
        raise SystemExit(f"{steps.use_case.name} has no champion")
    with TemporaryDirectory() as folder:
        return champion.load_version(
            steps.registry, steps.use_case.name, version, folder=Path(folder) / "model", trusted=steps.trusted
        ).model


def _in_turns(ours: Callable[[], Any], alone: Callable[[], Any]) -> tuple[float, float]:
    seconds: list[list[float]] = [[], []]
    for turn in range(TURNS + 1):  # the first one warms up
        for side, action in enumerate((ours, alone)):
            began = time.perf_counter()
            action()
            if turn:
                seconds[side].append(time.perf_counter() - began)
    return statistics.median(seconds[0]), statistics.median(seconds[1])


VERBS: dict[str, Callable[..., dict[str, Any]]] = {
    "lifecycle": lifecycle,
    "canary": canary,
    "fetch": fetch,
    "score": score,
    "evaluation": evaluation,
    "daily": daily,
}

if __name__ == "__main__":
    answers, sys.stdout = sys.stdout, sys.stderr  # MLflow prints
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = VERBS[request.pop("verb")](**request)
        except (AirworthyError, SystemExit) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)
