"""Operators that score partitions of features with one version, and check the predictions."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from airworthy import run_context
from airworthy.hooks.airworthy_database import AirworthyDatabaseHook
from airworthy.hooks.lake import LakeHook
from airworthy.lineage_events import ReportsLineage, is_reported, lake_table, model_version
from airworthy.links import ModelPageLink
from airworthy.operators.base import ModelOperator
from include.settings import settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from airflow.sdk import Context, XComArg

    from include.modeling.registry.load_version import LoadedVersion
    from include.modeling.registry.registry import Registry


class BatchScoringOperator(ReportsLineage, ModelOperator):
    """
    Score the partitions of the run with the champion, or the run's `version`; the XCom is a staged file.

    The model is loaded like by the model server: downloaded, its certificate verified, then unpickled. It
    gets the features of its own specification, whatever is declared today. Rows are read, predicted and
    written one group after the other, so that the memory does not depend on their number. The XCom `expected`
    is what `CheckPredictionsOperator` must find in the file.

    Without a champion and a version, the task is skipped.

    Example::

        BatchScoringOperator(task_id="score", use_case="flight_delay")

    :param use_case: a declared use case
    """

    operator_extra_links = (ModelPageLink(),)

    def execute(self, context: Context) -> str:
        """Score the rows and return the path of the staged predictions."""
        from include.data.feature_store.feature_rows import count_feature_rows, newest_versions
        from include.modeling.batch_scoring.output_check import ExpectedOutput, column_types
        from include.modeling.batch_scoring.scorer import BatchScorer
        from include.modeling.batch_scoring.stream import score_partitions
        from include.specifications import certified_specification

        version = self._version(context)
        hook = LakeHook(self.lake_conn_id)
        with self.workspace() as site:
            loaded = self._load(site.registry, version, site.workdir / "model")
            specification = certified_specification(
                loaded.certificate.snapshot, site.use_case, loaded.model.features
            )
            selection = specification.selection
            partitions = run_context.declared_partitions(context, selection.views[0])
            versions = newest_versions(selection, hook.lake)
            scorer = BatchScorer(specification.use_case, selection.spine, loaded.model, version)
            tables = score_partitions(scorer, selection, hook.lake, partitions, versions=versions)
            n_expected = count_feature_rows(selection, hook.lake, partitions, versions=versions)
            path, n_rows = hook.staging.write_tables(
                run_context.attempt_key(context), "predictions", tables, total=n_expected
            )
        self._report_inputs(hook, versions, version)
        context["ti"].xcom_push("figures", scorer.figures())
        expected = ExpectedOutput(
            rows=n_expected,
            columns=column_types(scorer.schema),
            version=version,
            prediction_range=specification.use_case.prediction_range,
            classes=loaded.model.classes,
        )
        context["ti"].xcom_push("expected", asdict(expected))
        self.log.info("%s version %d: %d rows scored", self.use_case, version, n_rows)
        return path

    def _version(self, context: Context) -> int:
        """Return the run's parameter `version`, or the champion."""
        from include.database import ledger
        from include.release import rollout

        named = context["params"].get("version")
        with self.engine.connect() as connection:
            if named:
                ledger.require_version(connection, self.use_case, int(named))
                return int(named)
            champion = rollout.read_state(connection, self.use_case).champion
        if champion is None:
            raise AirflowSkipException(f"{self.use_case} has no champion yet, so nothing is scored.")
        return champion

    def _load(self, registry: Registry, version: int, folder: Path) -> LoadedVersion:
        """Return a version whose certificate is valid, and whose model is the registered one."""
        from include.database import ledger
        from include.modeling.registry import load_version

        trusted = settings().trusted_keys
        loaded = load_version.load_version(registry, self.use_case, version, folder=folder, trusted=trusted)
        with self.engine.connect() as connection:
            ledger.require_registered(connection, self.use_case, version, loaded.certificate.model_digest)
        return loaded

    def _report_inputs(self, hook: LakeHook, versions: Mapping[str, int], version: int) -> None:
        self.report_lineage(inputs=(model_version(self.use_case, version),))
        if is_reported():
            self.report_lineage(inputs=tuple(lake_table(hook.uri, *table) for table in versions.items()))


class CheckPredictionsOperator(BaseOperator):
    """
    Check staged predictions before they are published; the XCom is the path of the file.

    The file is read again: its columns and types, as many rows as the features have, no nulls, one version,
    predictions in the declared range, known classes. The evidence is a row in `gate_result`, written before
    the task fails.

    Example::

        CheckPredictionsOperator(
            task_id="check", use_case="flight_delay", frame=score.output, expected=XComArg(score, "expected")
        )

    :param use_case: a declared use case
    :param frame: path of the staged predictions (templated)
    :param expected: the XCom `expected` of the scoring (templated)
    """

    template_fields: Sequence[str] = ("use_case", "frame", "expected")
    operator_extra_links = (ModelPageLink(),)

    def __init__(
        self,
        *,
        use_case: str,
        frame: str | XComArg,
        expected: dict[str, Any] | XComArg,
        lake_conn_id: str = LakeHook.default_conn_name,
        airworthy_conn_id: str = AirworthyDatabaseHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.use_case = use_case
        self.frame: Any = frame
        self.expected: Any = expected
        self.lake_conn_id = lake_conn_id
        self.airworthy_conn_id = airworthy_conn_id

    def execute(self, context: Context) -> str:
        """Return the path of the predictions; raise QualityFailed if they may not be published."""
        from include.data.validation.gate_results import record_gate_result
        from include.modeling.batch_scoring.output_check import ExpectedOutput, check_output

        staging = LakeHook(self.lake_conn_id).staging
        result = check_output(staging.open(self.frame), ExpectedOutput(**self.expected))
        engine = AirworthyDatabaseHook(self.airworthy_conn_id).engine
        table = f"{self.use_case}_predictions"
        run = run_context.attempt_key(context)
        record_gate_result(engine, table, run, run_context.partition_key(context), result)
        context["ti"].xcom_push("figures", result.figures())
        result.raise_if_failed(
            table,
            remedy="Nothing was published. Clear the run, or score with another version.",
        )
        return str(self.frame)
