"""Great Expectations in anybody's DAG: a frame, a Delta table, or a query that stays in its database."""

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

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow.sdk import Context, XComArg

    from include.data.validation.batch_filter import Batch
    from include.data.validation.results import ValidationResult
    from include.data.validation.suites import Suite
    from include.declarations import Column


class ValidationOperator(BaseOperator):
    """
    What the three operators share: what the data is to keep, and what becomes of the answer.

    A failed critical expectation fails the task, once everybody can see why: a row in `gate_result`, the page
    behind «Data docs», and the XCom `figures`. A warning is logged and fails nothing. What could not be
    checked, for want of rows, of values or because it raised, has failed.

    :param columns: declared columns: their types, nulls, ranges, sets
    :param expectations: function that returns Great Expectations' suite or list of expectations; it is called
        when the task runs, so that parsing stays free
    :param key: columns that tell the rows apart
    :param batch_parameters: which part is meant (templated): `year`, `month`, `day` or `partition` of the
        column `time`, or a value of any column; `params["gx_batch_parameters"]` of the run takes precedence
    :param time: the column of days or moments that those parameters are about
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
        """Return how many rows there were, and the names of what failed without blocking."""
        from include.data.validation import gate_results
        from include.storage import reports

        part, subject = self.batch(context), f"{context['dag_run'].dag_id}.{self.task_id}"
        found = self.validate(context, part)
        engine, hook = AirworthyDatabaseHook(self.airworthy_conn_id).engine, LakeHook(self.lake_conn_id)
        gate_results.record_gate_result(engine, subject, run_context.attempt_key(context), str(part), found)
        path = "/".join(_path(name) for name in ("quality", subject, context["dag_run"].run_id))
        reports.write_report(hook.uri, hook.storage_options, f"{path}.html", found.page(subject))
        self.evidence_url = report_url(f"{path}.html")
        context["ti"].xcom_push("figures", found.figures())
        for remark in found.remarks():
            self.log.warning("%s: %s", subject, remark)
        found.raise_if_failed(subject)
        return found.figures()

    @abstractmethod
    def validate(self, context: Context, part: Batch) -> ValidationResult:
        """Return what was found in the part of the data that is meant."""

    def batch(self, context: Context) -> Batch:
        """Return which part of the data is meant."""
        from include.data.validation.batch_filter import batch

        given = context["params"].get("gx_batch_parameters") or self.batch_parameters
        return batch(json.loads(given) if isinstance(given, str) else given, time=self.time)

    @property
    def suite(self) -> Suite:
        """What the data is to keep."""
        from include.data.validation.suites import Suite

        return Suite(self.columns, self.expectations or (), self.key)


class ValidateFrameOperator(ValidationOperator):
    """
    Validate a frame: a Parquet file, or what a function returns when the task runs.

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

    def validate(self, context: Context, part: Batch) -> ValidationResult:
        """Read the frame and check the part of it that is meant."""
        from include.data.validation.suites import validate_frame

        given = self.frame(context) if callable(self.frame) else self.frame
        frame = LakeHook(self.lake_conn_id).read_parquet(given) if isinstance(given, str) else given
        return validate_frame(part.select(frame, self.time), self.suite)


class ValidateTableOperator(ValidationOperator):
    """
    Validate a Delta table, or some of its days, at a version or the newest.

    Example::

        ValidateTableOperator(task_id="check", table="flights", days="{{ ds }}", key=("flight_id",))

    :param table: name of a table in the lake, or a whole address (templated)
    :param days: partition key such as `2013-07-01..2013-07-07`; empty for all days (templated)
    :param version: version of the table; empty for the newest (templated)
    """

    template_fields: Sequence[str] = ("table", "days", "version", *ValidationOperator.template_fields)

    def __init__(self, *, table: str, days: str = "", version: int | str = "", **kwargs: Any) -> None:
        super().__init__(**{"time": "day"} | kwargs)
        self.table = table
        self.days = days
        self.version = version

    def validate(self, context: Context, part: Batch) -> ValidationResult:
        """Read the rows of the days that are meant and check them."""
        from include import partitions
        from include.data.validation.suites import validate_frame

        lake, name = LakeHook(self.lake_conn_id).lake_of(self.table)
        days = partitions.parse_key(self.days) if self.days else None
        if part.days:  # a month may have days that are not there
            days = sorted(set(part.days) & set(lake.days(name))) or part.days
        version = int(self.version) if self.version != "" else None
        rows = lake.read(name, days, version=version)
        read = part.without_days() if self.time == "day" else part
        return validate_frame(read.select(rows, self.time), self.suite)


class ValidateQueryOperator(ValidationOperator):
    """
    Validate a table or query of PostgreSQL where it is: nothing is fetched but three examples.

    Example::

        ValidateQueryOperator(
            task_id="check", conn_id="warehouse", table="public.flights", time="flown_on", key=("flight_id",)
        )

    :param conn_id: Airflow's connection to the database
    :param table: table, or `schema.table` (templated)
    :param query: a SELECT in its stead (templated)
    """

    template_fields: Sequence[str] = ("table", "query", *ValidationOperator.template_fields)
    template_ext: Sequence[str] = (".sql",)

    def __init__(self, *, conn_id: str, table: str = "", query: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.conn_id = conn_id
        self.table = table
        self.query = query

    def validate(self, context: Context, part: Batch) -> ValidationResult:
        """Have the database check the rows that are meant."""
        from include.data.validation import sql

        url = url_of(LakeHook.get_connection(self.conn_id))
        query = self.query or sql.query_of_table(self.table)
        return sql.validate_query(url, query, self.suite, part=part, time=self.time)


def _path(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.=+-]", "_", name)
