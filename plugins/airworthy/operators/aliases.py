"""Operator that repairs the aliases of MLflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airworthy.hooks.airworthy_database import AirworthyDatabaseHook
from airworthy.hooks.model_registry import ModelRegistryHook

if TYPE_CHECKING:
    from airflow.sdk import Context


class RepairAliasesOperator(BaseOperator):
    """
    Set MLflow's aliases of all released models to the desired state, from which they may differ.

    A release sets them as its last step. They stay behind if MLflow was away then, and somebody may have
    changed them. The XCom has the names of the aliases that were changed, by use case.

    Example::

        RepairAliasesOperator(task_id="repair_aliases")
    """

    def __init__(
        self,
        *,
        mlflow_conn_id: str = ModelRegistryHook.default_conn_name,
        airworthy_conn_id: str = AirworthyDatabaseHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.mlflow_conn_id = mlflow_conn_id
        self.airworthy_conn_id = airworthy_conn_id

    def execute(self, context: Context) -> dict[str, list[str]]:
        """Return the changed aliases by use case."""
        from include.modeling.registration.versions import project_aliases
        from include.release.rollout import read_all_states

        engine = AirworthyDatabaseHook(self.airworthy_conn_id).engine
        registry = ModelRegistryHook(self.mlflow_conn_id, engine=engine).registry
        with engine.connect() as connection:
            states = read_all_states(connection)
        repaired = {}
        for state in states:
            # A retired model may be dropped, and one whose first rollout failed has nothing to show.
            if state.champion is None and state.challenger is None:
                continue
            changed = project_aliases(registry, state)
            if changed:
                repaired[state.use_case] = changed
                self.log.warning("%s: the aliases %s were not as desired", state.use_case, ", ".join(changed))
        return repaired
