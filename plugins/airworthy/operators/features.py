"""Compute a feature view's rows from its datasets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airworthy import runs
from airworthy.hooks.lake import LakeHook
from include.catalog import catalog, module_of

if TYPE_CHECKING:
    from airflow.sdk import Context


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
        from include.data import features

        hook = LakeHook(self.lake_conn_id)
        view = catalog().feature_views[self.feature_view]
        build = module_of("features", self.feature_view).build
        frame = features.build(view, build, hook.lake, runs.days(context))
        return hook.staging.write(runs.run_key(context), "features", frame)
