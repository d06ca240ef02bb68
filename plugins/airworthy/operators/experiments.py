"""Experiments, runs, versions and aliases of MLflow, for anybody's DAG: each may be tried again."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airworthy import run_context
from airworthy.hooks.airworthy_database import AirworthyDatabaseHook
from airworthy.hooks.model_registry import ModelRegistryHook
from airworthy.links import MlflowPageLink

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from airflow.sdk import BaseOperatorLink, Context, XComArg

    from include.modeling.registry.registry import Registry


class MlflowOperator(BaseOperator):
    """
    What these operators share: the connection to MLflow, and the locks of the airworthy database.

    `airworthy_conn_id=None` does without the locks: then two attempts at the same moment may create twice.
    """

    operator_extra_links: Collection[BaseOperatorLink] = (MlflowPageLink(),)
    evidence_url = ""

    def __init__(
        self,
        *,
        mlflow_conn_id: str = ModelRegistryHook.default_conn_name,
        airworthy_conn_id: str | None = AirworthyDatabaseHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.mlflow_conn_id = mlflow_conn_id
        self.airworthy_conn_id = airworthy_conn_id

    @cached_property
    def hook(self) -> ModelRegistryHook:
        """MLflow."""
        engine = AirworthyDatabaseHook(self.airworthy_conn_id).engine if self.airworthy_conn_id else None
        return ModelRegistryHook(self.mlflow_conn_id, engine=engine)

    @property
    def registry(self) -> Registry:
        """MLflow's experiments, runs, models and versions."""
        return self.hook.registry


class CreateExperimentOperator(MlflowOperator):
    """
    Make an experiment, or find the one of that name; the XCom is its id.

    Example::

        CreateExperimentOperator(task_id="experiment", experiment="churn", tags={"team": "growth"})

    :param experiment: name (templated)
    :param tags: tags that it shall carry (templated)
    """

    template_fields: Sequence[str] = ("experiment", "tags")

    def __init__(self, *, experiment: str, tags: Mapping[str, str] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.experiment = experiment
        self.tags = tags

    def execute(self, context: Context) -> str:
        """Return the id."""
        found = self.registry.ensure_experiment(self.experiment, self.tags)
        self.evidence_url = self.hook.url(f"experiments/{found}")
        return found


class StartRunOperator(MlflowOperator):
    """
    Start this task's one run in an experiment, made where it is not there; the XCom is its id.

    A retry finds the run again. Cleared, the task has a new one that supersedes the old. The run is tagged
    with dag, run, task, map index, try and partition, and leads back to the DAG run.

    Example::

        StartRunOperator(task_id="run", experiment="churn", run_name="{{ ds }}")

    :param experiment: name (templated)
    :param run_name: what people see; by default dag, run and task (templated)
    :param tags: more tags (templated)
    :param parent_run_id: the run that it is a child of (templated)
    """

    template_fields: Sequence[str] = ("experiment", "run_name", "tags", "parent_run_id")

    def __init__(
        self,
        *,
        experiment: str,
        run_name: str = "",
        tags: Mapping[str, str] | None = None,
        parent_run_id: str | XComArg = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.experiment = experiment
        self.run_name = run_name
        self.tags = tags
        self.parent_run_id: Any = parent_run_id

    def execute(self, context: Context) -> str:
        """Return the id."""
        from include.modeling.registry.tracking import PARENT

        task, clears = context["ti"], context["dag_run"].clear_number or 0
        key = [self.experiment, run_context.run_key(context), task.task_id, task.map_index]
        name = self.run_name or f"{run_context.run_key(context)} {task.task_id}"
        tags = run_context.attempt_tags(context) | dict(self.tags or {})
        tags |= {PARENT: self.parent_run_id} if self.parent_run_id else {}
        run_id = self.registry.ensure_run(self.experiment, json.dumps(key), name, tags, clears=clears)
        self.evidence_url = self.hook.run_url(run_id)
        return run_id


class LogToRunOperator(MlflowOperator):
    """
    Log parameters, metrics, tags and files to a run in one go, and end it if told to; the XCom is its id.

    Example::

        LogToRunOperator(task_id="log", run_id=begin.output, metrics={"auc": 0.71}, status="FINISHED")

    :param run_id: the run (templated)
    :param parameters: MLflow's params; one that is there already must be the same (templated)
    :param metrics: metrics by name (templated)
    :param tags: tags (templated)
    :param files: paths of files (templated)
    :param status: FINISHED, FAILED or KILLED ends the run (templated)
    """

    template_fields: Sequence[str] = ("run_id", "parameters", "metrics", "tags", "files", "status")

    def __init__(
        self,
        *,
        run_id: str | XComArg,
        parameters: Mapping[str, object] | None = None,
        metrics: Mapping[str, float] | XComArg | None = None,
        tags: Mapping[str, str] | None = None,
        files: Sequence[str] | XComArg = (),
        status: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.run_id: Any = run_id
        self.parameters = parameters
        self.metrics: Any = metrics
        self.tags = tags
        self.files: Any = files
        self.status = status

    def execute(self, context: Context) -> str:
        """Return the run's id."""
        metrics = {name: float(value) for name, value in (self.metrics or {}).items()}
        self.registry.log(self.run_id, params=self.parameters, metrics=metrics, tags=self.tags)
        self.evidence_url = self.hook.run_url(self.run_id)
        for path in self.files:
            self.registry.log_file(self.run_id, Path(path))
        if self.status:
            self.registry.finish(self.run_id, self.status)
        return str(self.run_id)


class SearchRunsOperator(MlflowOperator):
    """
    Find runs; the XCom is a list, newest first.

    Each has `run_id`, `status`, `params`, `metrics` and `tags`.

    Example::

        SearchRunsOperator(task_id="best", experiment="churn", query="metrics.auc > 0.7", newest=10)

    :param experiment: name (templated)
    :param query: MLflow's filter (templated)
    :param newest: how many at most
    """

    template_fields: Sequence[str] = ("experiment", "query")

    def __init__(self, *, experiment: str, query: str = "", newest: int = 100, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.experiment = experiment
        self.query = query
        self.newest = newest

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Return the runs."""
        found = self.registry.search_runs(self.experiment, self.query, newest=self.newest)
        return [
            {"run_id": run.info.run_id, "status": run.info.status}
            | {kind: dict(getattr(run.data, kind)) for kind in ("params", "metrics", "tags")}
            for run in found
        ]


class SearchVersionsOperator(MlflowOperator):
    """
    Find a model's versions; the XCom is a list, newest first.

    Each has `version`, `run_id`, `aliases` and `tags`.

    Example::

        SearchVersionsOperator(task_id="versions", model="churn", query="tags.country = 'NL'")

    :param model: name of the registered model (templated)
    :param query: MLflow's filter (templated)
    """

    template_fields: Sequence[str] = ("model", "query")

    def __init__(self, *, model: str, query: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.query = query

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Return the versions."""
        found = self.registry.search_versions(self.model, self.query)
        self.evidence_url = self.hook.url(f"models/{self.model}")
        return found


class SetAliasOperator(MlflowOperator):
    """
    Let an alias name a version, as stages did before; without a version, take the alias away.

    The champion of a declared use case is not chosen here: its deployment DAG does that, and mends the alias.

    Example::

        SetAliasOperator(task_id="promote", model="churn", alias="champion", version="{{ params.version }}")

    :param model: name of the registered model (templated)
    :param alias: such as `champion` (templated)
    :param version: its version (templated)
    """

    template_fields: Sequence[str] = ("model", "alias", "version")

    def __init__(self, *, model: str, alias: str, version: int | str | XComArg = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.alias = alias
        self.version: Any = version

    def execute(self, context: Context) -> None:
        """Set it or take it away."""
        version = int(self.version) if self.version not in ("", None) else None
        self.registry.set_aliases(self.model, **{self.alias: version})
        self.evidence_url = self.hook.url(
            f"models/{self.model}" + (f"/versions/{version}" if version else "")
        )
