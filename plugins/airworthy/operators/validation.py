"""Operators that validate a frame, a Delta table or a query of PostgreSQL with Great Expectations."""

from __future__ import annotations

import json
import re
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airworthy import run_context
from airworthy.hooks.airworthy_database import AirworthyDatabaseHook, url_of
from airworthy.hooks.lake import LakeHook
from airworthy.links import DataDocsLink, report_url
from include.declarations.base import DAY_COLUMN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow.sdk import Context, XComArg

    from include.data.validation.batch_filter import BatchFilter
    from include.data.validation.results import ValidationResult
    from include.data.validation.suites import Suite
    from include.declarations import Column


class ValidationOperator(BaseOperator):
    """
    Base of the operators that validate data of any kind.

    A failed critical expectation fails the task after the evidence is written: a row in `gate_result`, the
    page of the link «Data docs», and the XCom `figures`. A failed warning is logged and does not fail the
    task. An expectation that could not be checked, because there were no rows or no values or because it
    raised, has failed.

    :param columns: declared columns: their types, nulls, ranges, sets
    :param expectations: function that returns a suite or a list of expectations of Great Expectations; it is
        called when the task runs, so that parsing the DAG does not import Great Expectations
    :param key: columns that identify a row
    :param batch_parameters: part of the data (templated): `year`, `month`, `day` or `partition` of the column
        `time`, or a value of any column; `params["gx_batch_parameters"]` of the run takes precedence
    :param time: column of days or moments that those parameters refer to
    """

    template_fields: Sequence[str] = ("batch_parameters",)
    operator_extra_links = (DataDocsLink(),)
    evidence_url = ""

    def __init__(
        self,
        *,
        columns: Sequence[Column] = (),
        expectations: Callable[[], Any] | None = None,
        key: Sequence[str] = (),
        batch_parameters: Mapping[str, Any] | None = None,
        time: str | None = None,
        lake_conn_id: str = LakeHook.default_conn_name,
        airworthy_conn_id: str = AirworthyDatabaseHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.columns = columns
        self.expectations = expectations
        self.key = key
        self.batch_parameters = batch_parameters
        self.time = time
        self.lake_conn_id = lake_conn_id
        self.airworthy_conn_id = airworthy_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Record the evidence, and return the number of rows and the names of the failed checks."""
        from include.data.validation.gate_results import record_gate_result
        from include.data.validation.page import render_quality_page
        from include.storage import reports

        batch_filter = self.batch_filter(context)
        subject = f"{context['dag_run'].dag_id}.{self.task_id}"
        result = self.validate(context, batch_filter)
        engine = AirworthyDatabaseHook(self.airworthy_conn_id).engine
        hook = LakeHook(self.lake_conn_id)
        record_gate_result(engine, subject, run_context.attempt_key(context), str(batch_filter), result)
        steps = ("quality", subject, context["dag_run"].run_id)
        path = "/".join(_path_step(step) for step in steps) + ".html"
        reports.write_report(hook.uri, hook.storage_options, path, render_quality_page(result, subject))
        self.evidence_url = report_url(path)
        context["ti"].xcom_push("figures", result.figures())
        for remark in result.remarks():
            self.log.warning("%s: %s", subject, remark)
        result.raise_if_failed(subject)
        return result.figures()

    @abstractmethod
    def validate(self, context: Context, batch_filter: BatchFilter) -> ValidationResult:
        """Return the results of the selected part of the data."""

    def batch_filter(self, context: Context) -> BatchFilter:
        """Return which part of the data is validated."""
        from include.data.validation.batch_filter import parse_batch_parameters

        parameters = context["params"].get("gx_batch_parameters") or self.batch_parameters
        if isinstance(parameters, str):
            parameters = json.loads(parameters)
        return parse_batch_parameters(parameters, time=self.time)

    @property
    def suite(self) -> Suite:
        """The rules for the data."""
        from include.data.validation.suites import Suite

        return Suite(self.columns, self.expectations or (), self.key)


class ValidateFrameOperator(ValidationOperator):
    """
    Validate a frame: a Parquet file, or the result of a function that is called when the task run_context.

    Example::

        ValidateFrameOperator(
            task_id="check", frame=extract.output, columns=(Column(name="speed", dtype="number", minimum=0),)
        )

    :param frame: path or URI of a Parquet file, or one below the lake (templated); or a function of the
        context that returns a path or a data frame
    """

    template_fields: Sequence[str] = ("frame", *ValidationOperator.template_fields)

    def __init__(self, *, frame: str | XComArg | Callable[..., Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.frame: Any = frame

    def validate(self, context: Context, batch_filter: BatchFilter) -> ValidationResult:
        """Read the frame and validate the selected rows."""
        from include.data.validation.suites import validate_frame

        frame = self.frame(context) if callable(self.frame) else self.frame
        if isinstance(frame, str):
            frame = LakeHook(self.lake_conn_id).read_parquet(frame)
        return validate_frame(batch_filter.select(frame, self.time), self.suite)


class ValidateTableOperator(ValidationOperator):
    """
    Validate a Delta table, or some of its days, at a given version or the newest.

    Example::

        ValidateTableOperator(task_id="check", table="flights", days="{{ ds }}", key=("flight_id",))

    :param table: name of a table in the lake, or its URI (templated)
    :param days: partition key such as `2013-07-01..2013-07-07`; empty for all days (templated)
    :param version: version of the table; empty for the newest (templated)
    """

    template_fields: Sequence[str] = ("table", "days", "version", *ValidationOperator.template_fields)

    def __init__(self, *, table: str, days: str = "", version: int | str = "", **kwargs: Any) -> None:
        super().__init__(**{"time": DAY_COLUMN} | kwargs)
        self.table = table
        self.days = days
        self.version = version

    def validate(self, context: Context, batch_filter: BatchFilter) -> ValidationResult:
        """Read the rows of the selected days and validate them."""
        from include import partitions
        from include.data.validation.suites import validate_frame

        lake, name = LakeHook(self.lake_conn_id).lake_of(self.table)
        days = partitions.parse_key(self.days) if self.days else None
        # A month may have days that were never published; if none of them was, the lake names the first.
        if batch_filter.days:
            days = sorted(set(batch_filter.days) & set(lake.days(name))) or batch_filter.days
        version = int(self.version) if self.version != "" else None
        rows = lake.read(name, days, version=version)
        row_filter = batch_filter.without_days() if self.time == DAY_COLUMN else batch_filter
        return validate_frame(row_filter.select(rows, self.time), self.suite)


class ValidateQueryOperator(ValidationOperator):
    """
    Validate a table or query in PostgreSQL; only three examples are fetched.

    Example::

        ValidateQueryOperator(
            task_id="check", conn_id="warehouse", table="public.flights", time="flown_on", key=("flight_id",)
        )

    :param conn_id: Airflow's connection to the database
    :param table: table, or `schema.table` (templated)
    :param query: SELECT statement, instead of `table` (templated)
    """

    template_fields: Sequence[str] = ("table", "query", *ValidationOperator.template_fields)
    template_ext: Sequence[str] = (".sql",)

    def __init__(self, *, conn_id: str, table: str = "", query: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.conn_id = conn_id
        self.table = table
        self.query = query

    def validate(self, context: Context, batch_filter: BatchFilter) -> ValidationResult:
        """Let the database validate the selected rows."""
        from include.data.validation import sql

        url = url_of(LakeHook.get_connection(self.conn_id))
        query = self.query or sql.query_of_table(self.table)
        return sql.validate_query(url, query, self.suite, batch_filter=batch_filter, time=self.time)


def _path_step(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.=+-]", "_", name)
