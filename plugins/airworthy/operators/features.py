"""Compute a feature view's rows from its datasets, prove that they know no future, and bring them online."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airworthy import run_context
from airworthy.hooks.airworthy_database import AirworthyDatabaseHook
from airworthy.hooks.lake import LakeHook
from include.catalog import catalog, declaration_module

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context, XComArg


class BuildFeaturesOperator(BaseOperator):
    """
    Build the rows of a feature view for the run's days, as they could be known then; the XCom is their URI.

    Example::

        BuildFeaturesOperator(task_id="build", feature_view="flight_features")

    :param feature_view: a declared feature view
    """

    def __init__(
        self, *, feature_view: str, lake_conn_id: str = LakeHook.default_conn_name, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.feature_view = feature_view
        self.lake_conn_id = lake_conn_id

    def execute(self, context: Context) -> str:
        """Return the staged features' URI."""
        from include.data.features import build as features

        hook = LakeHook(self.lake_conn_id)
        view = catalog().feature_views[self.feature_view]
        build = declaration_module("features", self.feature_view).build
        frame = features.build_features(view, build, hook.lake, run_context.run_days(context))
        return hook.staging.write(run_context.attempt_key(context), "features", frame)


class CheckLeakageOperator(BaseOperator):
    """
    Build some of the staged rows again from what was known at their time, and fail if a feature differs.

    The evidence is a row in `gate_result`, written before the task fails.

    Example::

        CheckLeakageOperator(task_id="check_leakage", feature_view="flight_features", frame=build.output)

    :param feature_view: a declared feature view
    :param frame: path of the staged frame (templated)
    """

    template_fields: Sequence[str] = ("feature_view", "frame")

    def __init__(
        self,
        *,
        feature_view: str,
        frame: str | XComArg,
        lake_conn_id: str = LakeHook.default_conn_name,
        airworthy_conn_id: str = AirworthyDatabaseHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.feature_view = feature_view
        self.frame: Any = frame
        self.lake_conn_id = lake_conn_id
        self.airworthy_conn_id = airworthy_conn_id

    def execute(self, context: Context) -> int:
        """Return how many rows were built again."""
        from include.data.features import leakage_check
        from include.data.validation import gate_results

        hook, view = LakeHook(self.lake_conn_id), catalog().feature_views[self.feature_view]
        build = declaration_module("features", self.feature_view).build
        rows = hook.staging.read(self.frame)
        found = leakage_check.check_leakage(view, build, hook.lake, rows, run_context.run_days(context))
        engine = AirworthyDatabaseHook(self.airworthy_conn_id).engine
        run, partition = run_context.attempt_key(context), run_context.partition_key(context)
        gate_results.record_gate_result(engine, self.feature_view, run, partition, found.results())
        found.raise_if_failed(self.feature_view)
        return found.rows


class MaterialiseFeaturesOperator(BaseOperator):
    """
    Bring the run's days of a feature view online, if they are among its newest; repeated, it changes nothing.

    A run that names no day brings all of the newest online. The XCom tells how many rows of which days.

    Example::

        MaterialiseFeaturesOperator(task_id="materialise", feature_view="flight_features")

    :param feature_view: a declared feature view with `online`
    """

    template_fields: Sequence[str] = ("feature_view",)

    def __init__(
        self,
        *,
        feature_view: str,
        lake_conn_id: str = LakeHook.default_conn_name,
        airworthy_conn_id: str = AirworthyDatabaseHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.feature_view = feature_view
        self.lake_conn_id = lake_conn_id
        self.airworthy_conn_id = airworthy_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Return how many rows of which days are online now."""
        from include.data.feature_store.client import materialise

        view, lake = catalog().feature_views[self.feature_view], LakeHook(self.lake_conn_id).lake
        url = AirworthyDatabaseHook(self.airworthy_conn_id).engine.url
        named = context["dag_run"].partition_key or context["params"].get("first")
        done = materialise(view, lake, url, run_context.run_days(context) if named else None)
        self.log.info("%s: %d rows of %s are online", view.name, done.rows, ", ".join(done.days) or "no day")
        return {"rows": done.rows, "days": list(done.days), "forgotten": done.evicted}
