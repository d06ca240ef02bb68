"""Operator that compares served requests with the champion's training data, and the base of monitoring."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from airworthy import run_context
from airworthy.hooks.lake import LakeHook
from airworthy.links import DriftReportLink, ModelPageLink, report_url
from airworthy.operators.base import ModelOperator
from include.catalog import catalog
from include.errors import AirworthyError, PartitionMissing, ServiceUnavailable
from include.settings import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from airflow.sdk import Context

    from include.data.lake.delta_tables import Lake
    from include.modeling.registry.registry import Registry
    from include.monitoring.champion_check import ChampionContext
    from include.monitoring.drift import Drift
    from include.monitoring.window_rows import RowCounts
    from include.monitoring.windows import Window


# As in `include.monitoring.windows`, which is not imported while parsing.
LOG_LAG = timedelta(seconds=5)


class MonitoringOperator(ModelOperator):
    """Base class of the operators that monitor a champion."""

    template_fields: Sequence[str] = ("use_case",)

    def read_champion(self, connection: Connection, lake: Lake, moment: datetime) -> ChampionContext:
        """Return the champion of that moment and its training rows; skip the task if there was none."""
        from include.database import ledger
        from include.modeling.registration.versions import verify_version
        from include.monitoring import champion_check
        from include.release import rollout

        made = ledger.champion_at(connection, self.use_case, moment)
        if made is None:
            raise AirflowSkipException(f"{self.use_case} has no champion yet: there is nothing to monitor.")
        state = replace(rollout.read_state(connection, self.use_case), champion=made["version"])
        certificate = verify_version(
            self.mlflow.registry, self.use_case, made["version"], trusted=settings().trusted_keys
        )
        return champion_check.champion_context(catalog().use_cases[self.use_case], state, certificate, lake)

    def read_importance(self, version: int | None) -> dict[str, float]:
        """Return the importance of the champion's features; empty if MLflow does not answer."""
        from include.modeling.explainability.importance import logged_importance

        return self._read_logged(logged_importance, version, "every drifted feature counts as important")

    def read_promised(self, version: int | None) -> dict[str, tuple[float, float]]:
        """Return the intervals of the champion's evaluation; empty if MLflow does not answer."""
        from include.monitoring.quality.promised import logged_intervals

        return self._read_logged(logged_intervals, version, "quality is compared with a constant only")

    def read_evaluation(self, version: int | None) -> dict[str, Any]:
        """Return what quality is compared with: `promised`, and `rule`, None if it is not known."""
        from include.monitoring.quality.promised import logged_rule

        rule = self._read_logged(logged_rule, version, "no business value is measured").get("rule")
        return {"promised": self.read_promised(version), "rule": rule}

    def _read_logged(
        self, read: Callable[[Registry, str, int], dict[str, Any]], version: int | None, without: str
    ) -> dict[str, Any]:
        """Return what was logged with a version; an empty mapping, with a warning, if MLflow is away."""
        if version is None:
            return {}
        try:
            return read(self.mlflow.registry, self.use_case, version)
        except ServiceUnavailable as error:
            self.log.warning("%s: %s", without.capitalize(), error)
            return {}


class DriftDetectionOperator(MonitoringOperator):
    """
    Compare the served requests with the rows that the champion was trained on.

    The XCom is `drift`, `no_drift` or `inconclusive`. The XCom `figures` has the reason and the columns, and
    the link «Drift report» leads to the page. Drift does not fail the task: `DecideOperator` decides what
    follows from it.

    Example::

        DriftDetectionOperator(task_id="detect_drift", use_case="flight_delay")

    :param use_case: a declared use case
    """

    operator_extra_links = (DriftReportLink(), ModelPageLink())
    evidence_url = ""

    def execute(self, context: Context) -> str:
        """
        Return the outcome.

        What fails here is in the XCom `figures`, so that `DecideOperator` names it and judges the rest.
        """
        # Known also if this process is killed.
        self._push_unknown(context, "detect_drift did not end: its log says why")
        try:
            return self._detect(context)
        except AirflowSkipException:
            raise
        except Exception as error:
            self._push_unknown(context, str(error))
            raise

    def _push_unknown(self, context: Context, reason: str) -> None:
        figures = {"outcome": "inconclusive", "reason": reason, "unknown": True}
        context["ti"].xcom_push("figures", figures)

    def _detect(self, context: Context) -> str:
        from include.monitoring import champion_check, window_rows, windows

        hook = LakeHook(self.lake_conn_id)
        moment = run_context.moment(context)
        with self.engine.connect() as connection:
            champion = self.read_champion(connection, hook.lake, moment)
            try:
                window = champion_check.read_window(
                    champion, connection, hook.lake, end=moment - LOG_LAG, limit=windows.MAX_REQUESTS
                )
            except PartitionMissing as error:
                return self._report_nothing(context, str(error))
            importance = self.read_importance(champion.state.champion)
            parts = window_rows.scan_inputs(
                connection,
                hook.lake,
                champion.use_case,
                champion.specification.selection,
                window,
                version=champion.state.champion,
            )
            drift = champion_check.check_drift(champion, window, importance, parts=parts)
            counts = window_rows.count_served_and_scored(connection, hook.lake, champion.use_case, window)
        problem = self._write_page(context, hook, drift.html)
        figures = _figures_of(drift, window, counts) | {"report_problem": problem}
        context["ti"].xcom_push("figures", figures)
        self.log.info(
            "%s version %s: %s on %d rows from %s (%d served, %d scored): %s",
            self.use_case,
            champion.state.champion,
            drift.outcome,
            drift.rows_current,
            window.source,
            counts.served,
            counts.scored,
            drift.reason,
        )
        return drift.outcome

    def _report_nothing(self, context: Context, reason: str) -> str:
        """Say that there are neither requests nor partitions to compare."""
        figures = {"outcome": "inconclusive", "reason": f"no data: {reason}", "rows": 0}
        context["ti"].xcom_push("figures", figures)
        self.log.info("%s: inconclusive: %s", self.use_case, figures["reason"])
        return "inconclusive"

    def _write_page(self, context: Context, hook: LakeHook, html: str) -> str:
        """Store the drift report; return why it could not be, since the decision needs only the figures."""
        from include.storage import reports

        run = re.sub(r"[^A-Za-z0-9_-]", "_", context["dag_run"].run_id)
        path = f"drift/{self.use_case}/run_{run}.html"
        try:
            reports.write_report(hook.uri, hook.storage_options, path, html)
            self.evidence_url = report_url(path)
        except (AirworthyError, OSError) as error:
            problem = f"the drift report was not written: {error}"
            self.log.warning("%s: %s", self.use_case, problem)
            return problem
        return ""


def _figures_of(drift: Drift, window: Window, counts: RowCounts) -> dict[str, Any]:
    """Return what the XCom `figures` and the table of results say of a comparison."""
    return {
        "outcome": drift.outcome,
        "reason": drift.reason,
        "share": drift.share,
        "importance_share": drift.importance_share,
        "rows": drift.rows_current,
        "source": window.source,
        "requests": window.requests,
        "served_rows": counts.served,
        "scored_rows": counts.scored,
        "end": window.end.isoformat(),
        "columns": {name: column["drifted"] for name, column in drift.per_column.items()},
        "shifts": drift.per_column,
        "faults": drift.faults,
    }
