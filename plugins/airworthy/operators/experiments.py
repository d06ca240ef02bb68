"""Operators of MLflow's experiments, runs, versions and aliases for any DAG; all may be retried."""

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
    Base class: the connections to MLflow and to the locks of the airworthy database.

    :param mlflow_conn_id: the connection to MLflow
    :param airworthy_conn_id: the connection to the airworthy database; None does without locks, so that
        concurrent attempts may create an object twice
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
        """Hook of MLflow."""
        engine = AirworthyDatabaseHook(self.airworthy_conn_id).engine if self.airworthy_conn_id else None
        return ModelRegistryHook(self.mlflow_conn_id, engine=engine)

    @property
    def registry(self) -> Registry:
        """Registry of experiments, runs, models and versions."""
        return self.hook.registry


class CreateExperimentOperator(MlflowOperator):
    """
    Create an experiment if it does not exist, and set its tags; the XCom is its id.

    Example::

        CreateExperimentOperator(task_id="experiment", experiment="churn", tags={"team": "growth"})

    :param experiment: name (templated)
    :param tags: tags to set (templated)
    """

    template_fields: Sequence[str] = ("experiment", "tags")

    def __init__(self, *, experiment: str, tags: Mapping[str, str] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.experiment = experiment
        self.tags = tags

    def execute(self, context: Context) -> str:
        """Create the experiment and return its id."""
        experiment_id = self.registry.ensure_experiment(self.experiment, self.tags)
        self.evidence_url = self.hook.url(f"experiments/{experiment_id}")
        return experiment_id


class StartRunOperator(MlflowOperator):
    """
    Start the MLflow run of this task in an experiment; the XCom is its id.

    A retry finds the same run. When the task is cleared, a new run supersedes it. The run is tagged with DAG,
    run, task, map index, try and partition, and links to the DAG run.

    Example::

        StartRunOperator(task_id="run", experiment="churn", run_name="{{ ds }}")

    :param experiment: name (templated)
    :param run_name: name that MLflow shows; by default DAG, run and task (templated)
    :param tags: additional tags (templated)
    :param parent_run_id: id of the parent run (templated)
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
        """Start the run and return its id."""
        from include.modeling.registry.tracking import PARENT

        task = context["ti"]
        clears = context["dag_run"].clear_number or 0
        key = [self.experiment, run_context.dag_run_key(context), task.task_id, task.map_index]
        name = self.run_name or f"{run_context.dag_run_key(context)} {task.task_id}"
        tags = run_context.attempt_tags(context) | dict(self.tags or {})
        if self.parent_run_id:
            tags[PARENT] = self.parent_run_id
        run_id = self.registry.ensure_run(self.experiment, json.dumps(key), name, tags, clears=clears)
        self.evidence_url = self.hook.run_url(run_id)
        return run_id


class LogToRunOperator(MlflowOperator):
    """
    Log parameters, metrics, tags and files to a run, and optionally end it; the XCom is its id.

    Example::

        LogToRunOperator(task_id="log", run_id=begin.output, metrics={"auc": 0.71}, status="FINISHED")

    :param run_id: the run (templated)
    :param parameters: MLflow's params; one that is already logged must have the same value (templated)
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
        """Log to the run and return its id."""
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
    Search runs; the XCom is a list, newest first.

    Each item has `run_id`, `status`, `params`, `metrics` and `tags`.

    Example::

        SearchRunsOperator(task_id="best", experiment="churn", query="metrics.auc > 0.7", newest=10)

    :param experiment: name (templated)
    :param query: MLflow's filter (templated)
    :param newest: maximum number of runs
    """

    template_fields: Sequence[str] = ("experiment", "query")

    def __init__(self, *, experiment: str, query: str = "", newest: int = 100, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.experiment = experiment
        self.query = query
        self.newest = newest

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Search and return the runs."""
        runs_of_experiment = self.registry.search_runs(self.experiment, self.query, newest=self.newest)
        return [
            {
                "run_id": run.info.run_id,
                "status": run.info.status,
                "params": dict(run.data.params),
                "metrics": dict(run.data.metrics),
                "tags": dict(run.data.tags),
            }
            for run in runs_of_experiment
        ]


class SearchVersionsOperator(MlflowOperator):
    """
    Search versions of a model; the XCom is a list, newest first.

    Each item has `version`, `run_id`, `aliases` and `tags`.

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
        """Search and return the versions."""
        versions = self.registry.search_versions(self.model, self.query)
        self.evidence_url = self.hook.url(f"models/{self.model}")
        return versions


class SetAliasOperator(MlflowOperator):
    """
    Set an alias to a version, as a replacement of stages; without a version, delete the alias.

    It does not choose the champion of a declared use case: its deployment DAG does, and corrects the alias.

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
        """Set or delete the alias."""
        version = int(self.version) if self.version not in ("", None) else None
        self.registry.set_aliases(self.model, **{self.alias: version})
        route = f"models/{self.model}"
        if version:
            route += f"/versions/{version}"
        self.evidence_url = self.hook.url(route)
