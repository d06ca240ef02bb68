"""Operator that trains a registered version again and compares both."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airworthy import run_context
from airworthy.hooks.lake import LakeHook
from airworthy.operators.base import ModelOperator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from include.modeling.pipeline.reproduce import Reproduction


class ReproduceModelOperator(ModelOperator):
    """
    Train a version again from the lineage in its certificate; fail if it predicts differently.

    The XCom `reproduction` holds the differences and what has changed since; it is pushed before the task
    fails. The same is logged to the version's MLflow run and to the ledger. No version is registered, and no
    alias is set.

    Example::

        ReproduceModelOperator(task_id="reproduce", use_case="flight_delay", version=3)

    :param use_case: a declared use case (templated)
    :param version: its registered version (templated)
    """

    template_fields: Sequence[str] = (*ModelOperator.template_fields, "version")

    def __init__(self, *, version: int | str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.version = version

    def execute(self, context: Context) -> None:
        """Train the version again, record the result, and fail if it differs."""
        from include.modeling.pipeline.reproduce import reproduce
        from include.modeling.training.build import estimator_builder

        build = estimator_builder(self.use_case)
        with self.workspace() as site:
            result = reproduce(site, build, LakeHook(self.lake_conn_id).lake, int(self.version))
        self.candidate = {"run_id": result.run_id}
        context["ti"].xcom_push("reproduction", asdict(result))
        self._record(context, result)
        self.log.info(result.reason)
        result.require_equal()

    def _record(self, context: Context, result: Reproduction) -> None:
        from include.database.ledger import Entry, append

        clears = context["dag_run"].clear_number or 0
        entry = Entry(
            result.use_case, "reproduced", run_context.actor(context), result.reason, result.version,
            asdict(result),
            f"{run_context.dag_run_key(context)}/{clears}/{result.use_case}/{result.version}/reproduce",
        )  # fmt: skip
        with self.engine.begin() as connection:
            append(connection, entry)
