"""Child runs in MLflow, one for each trial, however often a tuning is attempted."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from mlflow import MlflowClient
from optuna.trial import TrialState

from include.modeling.registry.idempotency import get_or_create, post_run, translate_mlflow_errors
from include.modeling.registry.registry import as_tags
from include.modeling.registry.run_keys import KEY
from include.modeling.registry.tracking import PARENT
from include.modeling.tuning.study import PROBLEM, SCORES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlflow.entities import Run
    from optuna.trial import FrozenTrial

    from include.modeling.registry.registry import Registry

MAX_RUNS = 1_000
# MLflow's limit of a tag.
MAX_PROBLEM_LENGTH = 5_000


class TrialRuns:
    """
    Child runs of the MLflow run of one tuning.

    Only the process that holds the lock of the tuning may create them.

    Parameters
    ----------
    registry
        Registry of the runs.
    use_case
        Name of the use case.
    parent
        Id of the parent run.
    """

    def __init__(self, registry: Registry, use_case: str, parent: str) -> None:
        self._registry = registry
        self._use_case = use_case
        self._parent = parent
        self._client = MlflowClient(tracking_uri=registry.uri)
        with translate_mlflow_errors(registry.uri):
            self._experiment_id = self._client.get_run(parent).info.experiment_id
            children = self._search(f"tags.`{PARENT}` = '{parent}'")
        self._run_ids = {run.data.tags.get(KEY, ""): run.info.run_id for run in children}
        self._finished_keys = {run.data.tags.get(KEY) for run in children if run.info.status != "RUNNING"}

    def log_trials(self, trials: Iterable[FrozenTrial], metric: str) -> None:
        """Create missing runs of `trials`, and finish those that an earlier attempt logged incompletely."""
        for trial in trials:
            key = hashlib.sha256(f"{self._parent}/trial/{trial.number}".encode()).hexdigest()
            if key not in self._finished_keys:
                self._log(self._ensure_run(key, trial.number), trial, metric)
                self._finished_keys.add(key)

    def _ensure_run(self, key: str, number: int) -> str:
        name = f"trial {number}"
        tags = as_tags({"use_case": self._use_case, "trial": number}) | {KEY: key, PARENT: self._parent}
        create_was_sent = False

        def find() -> str | None:
            # Only a create whose response was lost can have made a run that was not listed at the start.
            if create_was_sent and key not in self._run_ids:
                self._run_ids.update(
                    (key, run.info.run_id) for run in self._search(f"tags.`{KEY}` = '{key}'")
                )
            return self._run_ids.get(key)

        def create() -> None:
            nonlocal create_was_sent
            create_was_sent = True
            self._run_ids[key] = post_run(self._registry.uri, self._experiment_id, name, tags)

        with translate_mlflow_errors(self._registry.uri):
            return get_or_create(find, create, f"the run of {name}")

    def _log(self, run_id: str, trial: FrozenTrial, metric: str) -> None:
        is_pruned = trial.state == TrialState.PRUNED
        scores = trial.user_attrs.get(SCORES, [])
        figures = {f"fold_{number}.{metric}": score for number, score in enumerate(scores, start=1)}
        if trial.value is not None and not is_pruned:
            figures[metric] = trial.value
        problem = str(trial.user_attrs.get(PROBLEM, ""))
        tags: dict[str, object] = {"problem": problem[:MAX_PROBLEM_LENGTH]} if problem else {}
        if is_pruned:
            tags["pruned"] = True
        self._registry.log(
            run_id,
            params=trial.params,
            metrics=figures,
            tags=as_tags(tags) if tags else None,
        )
        self._registry.finish(run_id, "FAILED" if problem else "FINISHED")

    def _search(self, query: str) -> list[Run]:
        return list(self._client.search_runs([self._experiment_id], query, max_results=MAX_RUNS))
