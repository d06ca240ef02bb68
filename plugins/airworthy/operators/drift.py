"""Find out whether the world still looks like the one that the champion learned from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowSkipException

from airworthy.hooks.lake import LakeHook
from airworthy.links import DriftReportLink, report_url
from airworthy.operators.base import ModelOperator
from include.catalog import catalog
from include.settings import settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from airflow.sdk import Context

    from include.data.lake.delta_tables import Lake
    from include.monitoring.champion_check import ChampionContext


class MonitoringOperator(ModelOperator):
    """What the operators that watch a champion share."""

    template_fields: Sequence[str] = ("use_case",)

    def subject(self, connection: Connection, lake: Lake) -> ChampionContext:
        """Return the champion and the rows it learned from; without a champion the run is skipped."""
        from include.modeling.registration.versions import verify_version
        from include.monitoring import champion_check
        from include.release import rollout

        state = rollout.read_state(connection, self.use_case)
        if state.champion is None:
            raise AirflowSkipException(f"{self.use_case} has no champion yet: nothing to watch.")
        registry, trusted = self.mlflow.registry, settings().trusted_keys
        certificate = verify_version(registry, self.use_case, state.champion, trusted=trusted)
        return champion_check.champion_context(catalog().use_cases[self.use_case], state, certificate, lake)


class DriftDetectionOperator(MonitoringOperator):
    """
    Compare what callers sent with what the champion learned from, with Evidently.

    The XCom is `drift`, `no_drift` or `inconclusive`, `figures` has the rest, and «Drift report» the page.
    Drift does not fail the task: the governor decides what follows from it.

    Example::

        DriftDetectionOperator(task_id="detect_drift", use_case="flight_delay")

    :param use_case: a declared use case
    """

    operator_extra_links = (DriftReportLink(),)
    evidence_url = ""

    def execute(self, context: Context) -> str:
        """Return the outcome."""
        from include.monitoring import champion_check
        from include.storage import reports

        hook = LakeHook(self.lake_conn_id)
        with self.engine.connect() as connection:
            subject = self.subject(connection, hook.lake)
            seen = champion_check.read_window(subject, connection, hook.lake)
        found = champion_check.check_drift(subject, seen)
        run = re.sub(r"[^A-Za-z0-9_-]", "_", context["dag_run"].run_id)
        path = f"drift/{self.use_case}/run_{run}.html"
        reports.write_report(hook.uri, hook.storage_options, path, found.html)
        self.evidence_url = report_url(path)
        figures = {
            "outcome": found.outcome,
            "reason": found.reason,
            "share": found.share,
            "rows": found.rows_current,
            "source": seen.source,
            "end": seen.end.isoformat(),
            "columns": {name: column["drifted"] for name, column in found.per_column.items()},
        }
        context["ti"].xcom_push("figures", figures)
        self.log.info("%s on %d rows: %s", found.outcome, found.rows_current, found.reason)
        return found.outcome
