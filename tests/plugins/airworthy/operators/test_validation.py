"""The operators that validate frames, Delta tables and queries of PostgreSQL."""

from __future__ import annotations

import json
import re
from datetime import date

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import event, select, text
from sqlalchemy.engine import Engine

from airflow.sdk import DAG, Param

from airworthy.links import DataDocsLink
from airworthy.operators.validation import (
    ValidateFrameOperator,
    ValidateQueryOperator,
    ValidateTableOperator,
)
from include.database.tables import gate_result
from include.declarations import Column
from include.errors import DataError, QualityFailed, ServiceUnavailable
from include.storage import reports

COLUMNS = (
    Column(name="id", dtype="string"),
    Column(name="speed", dtype="number", minimum=0, maximum=100),
    Column(name="gust", dtype="number", nullable=True, maximum=50, severity="warning"),
    Column(name="origin", dtype="string", allowed=("EWR", "JFK")),
)
RULES = {"columns": COLUMNS, "key": ("id",)}


def cars(count=20):
    days = ["2013-07-01", "2013-07-02"]
    return pd.DataFrame(
        {
            "id": [f"c{number}" for number in range(count)],
            "speed": [float(number) for number in range(count)],
            "gust": [1.0, None] * (count // 2),
            "origin": "EWR",
            "_airworthy_day": [days[number * 2 // count] for number in range(count)],
        }
    )


def perturbed(**columns):
    frame = cars().astype(object)
    for name, values in columns.items():
        frame[name] = [*values, *frame[name][len(values) :]]
    return frame.infer_objects()


@pytest.fixture
def run(lake, database, context):
    """Return a function that runs an operator and returns its figures and its QualityFailed error."""

    def execute(operator, **params):
        made = context(params=params)
        try:
            operator.execute(made)
        except QualityFailed as error:
            return made["ti"].pushed.get("figures"), str(error)
        return made["ti"].pushed.get("figures"), ""

    return execute


@pytest.fixture
def warehouse(database, monkeypatch):
    """Return a function that fills the table `cars` of a database with the connection `warehouse`."""
    url = database.url
    parts = {"host": url.host, "port": url.port, "schema": url.database}
    parts |= {"login": url.username, "password": url.password}
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": "postgres", **parts}))

    def fill(frame):
        with database.begin() as connection:
            connection.execute(text("DROP TABLE IF EXISTS cars"))
            frame.to_sql("cars", connection, index=False)

    fill(cars())
    return fill


@pytest.fixture
def operator(lake, warehouse, tmp_path):
    """Return a function that stores rows and returns the operator that validates them there."""

    def build(storage, frame, **rules):
        rules = RULES | rules
        if storage == "frame":
            frame.to_parquet(tmp_path / "cars.parquet")
            return ValidateFrameOperator(task_id="check", frame=str(tmp_path / "cars.parquet"), **rules)
        if storage == "table":
            lake.publish("cars", frame, [date(2013, 7, 1), date(2013, 7, 2)], metadata={})
            return ValidateTableOperator(task_id="check", table="cars", **rules)
        warehouse(frame)
        return ValidateQueryOperator(task_id="check", conn_id="warehouse", table="cars", **rules)

    return build


everywhere = pytest.mark.parametrize("storage", ["frame", "table", "query"])


@everywhere
def test_good_rows_pass_with_figures_evidence_page_and_link(storage, run, operator, database, lake):
    task = operator(storage, cars())
    figures, error = run(task)
    assert (figures, error) == ({"rows": 20, "quarantined": 0, "failed": {}}, "")
    with database.connect() as connection:
        row = connection.execute(select(gate_result)).mappings().one()
    assert (row["subject"], row["passed"], row["rows"]) == ("some_dag.check", True, 20)
    link = DataDocsLink().get_link(task, ti_key=None)
    assert "speed" in reports.read_report(lake.uri, {}, link.partition("/airworthy/reports/")[2])


BAD = {
    "out of range": (
        {"speed": [300.0, 301.0, 302.0, 303.0]},
        r"between\(speed\): speed is not between 0 and 100 \(4 times, for example 300.0, 301.0, 302.0\)",
    ),
    "null": ({"speed": [None, None]}, r"to_not_be_null\(speed\): speed is null"),
    "infinite": ({"speed": [np.inf]}, "speed is (no number|not between 0 and 100)"),
    "of no set": ({"origin": ["SFO"]}, "origin is none of EWR, JFK .1 times, for example SFO"),
    "twice": ({"id": ["c5", "c5"]}, r"the key \(id\) is there more than once"),
    "no value but null": ({"speed": [None] * 20}, "speed is null"),
}


@pytest.mark.parametrize("storage", ["frame", "query"])
@pytest.mark.parametrize(("columns", "message"), BAD.values(), ids=BAD)
def test_bad_rows_fail_with_number_examples_and_remedy(storage, run, operator, columns, message):
    figures, error = run(operator(storage, perturbed(**columns).astype({"speed": float})))
    assert figures["failed"]["critical"]
    assert re.search(message, error), error
    assert error.startswith("some_dag.check: 20 rows did not pass.")
    assert error.endswith("or correct the expectation if the data is right.")


@pytest.mark.parametrize("storage", ["frame", "query"])
def test_warning_does_not_fail_and_is_recorded(storage, run, operator):
    figures, error = run(operator(storage, perturbed(gust=[99.0]).astype({"gust": float})))
    assert error == ""
    assert figures["failed"] == {"warning": ["expect_column_values_to_be_between(gust)"]}


@pytest.mark.parametrize("storage", ["frame", "query"])
def test_no_rows_fail(storage, run, operator):
    _, error = run(operator(storage, cars().iloc[:0]))
    assert "there are no rows" in error


@pytest.mark.parametrize("storage", ["frame", "query"])
def test_nullable_column_of_nulls_alone_fails(storage, run, operator):
    strict = (*COLUMNS[:2], Column(name="gust", dtype="number", nullable=True))
    frame = cars().assign(gust=np.nan)
    assert "gust has no value but null" in run(operator(storage, frame, columns=strict))[1]
    lenient = (*COLUMNS[:2], Column(name="gust", dtype="number", nullable=True, maximum_nulls=1))
    assert run(operator(storage, frame, columns=lenient))[1] == ""


@pytest.mark.parametrize("storage", ["frame", "query"])
def test_missing_column_and_wrong_type_are_named(storage, run, operator):
    wrong = (Column(name="colour", dtype="string"), Column(name="origin", dtype="number"))
    _, error = run(operator(storage, cars(), columns=wrong, key=()))
    assert "expect_column_to_exist(colour): there is no column colour" in error
    assert "origin is no number" in error


def user_expectations():
    import great_expectations.expectations as gxe

    return [
        gxe.ExpectColumnValuesToBeBetween(column="speed", max_value=15),
        gxe.ExpectColumnMeanToBeBetween(column="speed", max_value=5, severity="warning"),
    ]


@everywhere
def test_user_expectations_are_checked_when_the_task_runs(storage, run, operator):
    figures, error = run(operator(storage, cars(), columns=(), expectations=user_expectations))
    assert "expect_column_values_to_be_between(speed): does not hold with max_value=15.0 (4 times" in error
    assert figures["failed"]["warning"] == ["expect_column_mean_to_be_between(speed)"]


@pytest.mark.parametrize("storage", ["frame", "query"])
def test_user_expectation_without_a_value_fails(storage, run, operator):
    frame = cars().assign(speed=np.nan)
    _, error = run(operator(storage, frame, columns=(), expectations=user_expectations))
    assert "could not be checked: all of 20 values are null" in error


@pytest.mark.parametrize("storage", ["frame", "query"])
def test_expectation_that_cannot_be_checked_fails(storage, run, operator):
    def impossible():
        import great_expectations.expectations as gxe

        return gxe.ExpectColumnValuesToBeBetween(column="nowhere", min_value=1, severity="info")

    assert "could not be checked" in run(operator(storage, cars(), expectations=impossible))[1]


def test_object_that_is_no_expectation_is_refused(run, operator):
    with pytest.raises(DataError, match=r"is no expectation\. Give instances"):
        run(operator("frame", cars(), expectations=lambda: ["speed > 0"]))


PARTS = {
    "a column's value": ({"id": "c3"}, 1),
    "a month": ({"year": "2013", "month": "07", "origin": "EWR"}, 20),
    "a partition": ({"partition": "2013-07-02"}, 10),
}


@everywhere
@pytest.mark.parametrize(("parameters", "rows"), PARTS.values(), ids=PARTS)
def test_batch_parameters_select_a_part(storage, run, operator, parameters, rows):
    task = operator(storage, _dated() if storage == "query" else cars(), time="_airworthy_day")
    assert run(task, gx_batch_parameters=parameters)[0]["rows"] == rows


def _dated():
    return cars().assign(_airworthy_day=lambda frame: pd.to_datetime(frame["_airworthy_day"]))


def test_batch_parameters_of_the_run_take_precedence(run, operator):
    task = operator("frame", cars(), batch_parameters={"id": "c1"})
    assert run(task)[0]["rows"] == 1
    assert run(task, gx_batch_parameters={"origin": "EWR"})[0]["rows"] == 20


@pytest.mark.parametrize("storage", ["frame", "query"])
def test_batch_parameters_of_unknown_columns_are_refused(storage, run, operator):
    with pytest.raises(DataError, match="gx_batch_parameters: the data has no column colour; it has id"):
        run(operator(storage, cars()), gx_batch_parameters={"colour": "red"})
    with pytest.raises(DataError, match="name no day"):
        run(operator(storage, cars(), time="day"), gx_batch_parameters={"year": 2013, "month": 13})


@pytest.mark.parametrize("value", ["x' OR 'a'='a", "10:30 :now 50% \\"])
def test_batch_parameter_is_quoted_as_a_value(run, operator, value):
    frame = perturbed(id=[value])
    assert run(operator("query", frame), gx_batch_parameters={"id": value})[0]["rows"] == 1


def test_table_is_read_at_a_version_and_on_days(run, operator, lake):
    operator("table", cars())
    lake.publish("cars", cars().iloc[:4], [date(2013, 7, 1)], metadata={})
    old = ValidateTableOperator(task_id="check", table="cars", version=1, days="2013-07-01", **RULES)
    new = ValidateTableOperator(task_id="check", table=f"{lake.uri}/cars", days="2013-07-01", **RULES)
    assert run(old)[0]["rows"] == 10
    assert run(new)[0]["rows"] == 4


def test_frame_comes_from_a_function_or_a_staged_file(run, lake):
    from include.storage.staging import Staging

    path = Staging(lake.uri).write("some/run", "made", cars())
    for frame in (path, lambda context: cars(), lambda context: path):
        assert run(ValidateFrameOperator(task_id="check", frame=frame, **RULES))[0]["rows"] == 20


def test_query_fetches_only_examples(run, operator):
    task = operator(
        "query", perturbed(speed=[300.0] * 20), query="SELECT * FROM cars WHERE origin LIKE 'EW%'"
    )
    statements = []

    def note(connection, cursor, statement, *_):
        statements.append((statement, cursor.rowcount <= 3))

    event.listen(Engine, "after_cursor_execute", note)
    try:
        assert "20 times, for example 300.0, 300.0, 300.0" in run(task)[1]
    finally:
        event.remove(Engine, "after_cursor_execute", note)
    about_cars = [(statement, few) for statement, few in statements if "FROM cars" in statement]
    assert len(about_cars) > 3
    assert [statement for statement, few in about_cars if not few] == []


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM cars WHERE origin ~ '^(?:EWR|LGA|:x)' OR origin <> '50% :y'; -- a note",
        r"SELECT * FROM cars /* :z 100% */ WHERE origin <> E'it\'s \: :x %' AND origin <> $$:x 'y' \ %$$",
        'SELECT *, (ARRAY[1, 2])[1:length(origin)] AS "a:b %" FROM cars -- :word;',
    ],
)
def test_query_is_validated_as_it_is_written(run, operator, query):
    assert run(operator("query", cars(), query=query))[0]["rows"] == 20


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT 1 % 2 AS id -- %", r"has the operator %: write mod\(a, b\) for a % b. It is: SELECT 1 % 2"),
        ("SELECT 1; SELECT 2", "there are 2 statements"),
        (
            "SELECT ':x' FROM nowhere; -- :y",
            r"does not exist. Correct it; it is: SELECT ':x' FROM nowhere; -- :y$",
        ),
    ],
)
def test_refused_query_is_quoted_as_written(run, operator, query, message):
    with pytest.raises(DataError, match=message):
        run(operator("query", cars(), query=query))


def test_wrong_query_and_unreachable_database_differ(run, warehouse, monkeypatch):
    wrong = ValidateQueryOperator(
        task_id="check", conn_id="warehouse", query="SELECT * FROM nowhere", **RULES
    )
    with pytest.raises(DataError, match='"nowhere" does not exist'):
        run(wrong)
    away = {"conn_type": "postgres", "host": "127.0.0.1", "port": 9, "schema": "x", "login": "x"}
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(away))
    with pytest.raises(ServiceUnavailable, match=r"127\.0\.0\.1:9/x is away"):
        run(ValidateQueryOperator(task_id="check", conn_id="warehouse", table="cars", **RULES))


def test_operator_in_a_dag_is_rendered_with_parameters(run, lake, database, context):
    lake.publish("cars", cars(), [date(2013, 7, 1), date(2013, 7, 2)], metadata={})
    with DAG("somebodys", schedule=None, params={"of": Param("2013-07-01", type="string")}) as dag:
        task = ValidateTableOperator(
            task_id="check", table="cars", columns=COLUMNS, batch_parameters={"partition": "{{ params.of }}"}
        )
    assert dag.task_ids == ["check"]
    made = context(params={"of": "2013-07-02"})
    task.render_template_fields(made)
    assert task.execute(made) == {"rows": 10, "quarantined": 0, "failed": {}}
    with database.connect() as connection:
        row = connection.execute(select(gate_result)).mappings().one()
    assert (row["subject"], row["partition"]) == ("some_dag.check", "2013-07-02")
