"""Trials as child runs in MLflow: one for each, however often a tuning is tried."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING

from mlflow import MlflowClient

from include.modeling.registry.idempotency import get_or_create, post, translate_mlflow_errors
from include.modeling.registry.registry import KEY, as_tags
from include.modeling.tuning.study import PROBLEM, SCORES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlflow.entities import Run
    from optuna.trial import FrozenTrial

    from include.modeling.registry.registry import Registry

PARENT = "mlflow.parentRunId"
MOST = 1_000


class TrialRuns:
    """The children of one training's run; who has its lock is the only one to make them."""

    def __init__(self, registry: Registry, use_case: str, parent: str) -> None:
        self._registry, self._use_case, self._parent = registry, use_case, parent
        self._client = MlflowClient(tracking_uri=registry.uri)
        with translate_mlflow_errors(registry.uri):
            self._experiment = self._client.get_run(parent).info.experiment_id
            children = self._find(f"tags.`{PARENT}` = '{parent}'")
        self._runs = {run.data.tags.get(KEY, ""): run.info.run_id for run in children}
        self._complete = {run.data.tags.get(KEY) for run in children if run.info.status != "RUNNING"}

    def complete(self, trials: Iterable[FrozenTrial], metric: str) -> None:
        """Make the runs that are missing, and end those that an attempt left behind half-written."""
        for trial in trials:
            key = hashlib.sha256(f"{self._parent}/trial/{trial.number}".encode()).hexdigest()
            if key not in self._complete:
                self._log(self._run(key, trial.number), trial, metric)
                self._complete.add(key)

    def _run(self, key: str, number: int) -> str:
        name = f"trial {number}"
        about = as_tags({"use_case": self._use_case, "trial": number}) | {KEY: key, PARENT: self._parent}
        body = {
            "experiment_id": self._experiment,
            "run_name": name,
            "start_time": int(time.time() * 1000),
            "tags": [{"key": tag, "value": value} for tag, value in about.items()],
        }

        asked = False

        def find() -> str | None:
            if asked and key not in self._runs:  # the answer was lost
                self._runs.update((key, run.info.run_id) for run in self._find(f"tags.`{KEY}` = '{key}'"))
            return self._runs.get(key)

        def create() -> None:
            nonlocal asked
            asked = True
            self._runs[key] = post(self._registry.uri, "runs/create", body)["run"]["info"]["run_id"]

        with translate_mlflow_errors(self._registry.uri):
            return get_or_create(find, create, f"the run of {name}")

    def _log(self, run_id: str, trial: FrozenTrial, metric: str) -> None:
        scores = trial.user_attrs.get(SCORES, [])
        figures = {f"fold_{place}.{metric}": score for place, score in enumerate(scores, start=1)}
        if trial.value is not None:
            figures[metric] = trial.value
        problem = str(trial.user_attrs.get(PROBLEM, ""))
        self._registry.log(
            run_id,
            params=trial.params,
            metrics=figures,
            tags=as_tags({"problem": problem[:5000]}) if problem else None,
        )
        self._registry.finish(run_id, "FAILED" if problem else "FINISHED")

    def _find(self, query: str) -> list[Run]:
        return list(self._client.search_runs([self._experiment], query, max_results=MOST))
