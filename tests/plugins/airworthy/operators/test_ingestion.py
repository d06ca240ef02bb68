from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import select

from airworthy import assets
from airworthy.links import DataDocsLink, QuarantinedRowsLink
from airworthy.operators.data_validation import DataValidationOperator
from airworthy.operators.features import BuildFeaturesOperator
from airworthy.operators.ingestion import ExtractPartitionOperator, PublishPartitionOperator
from airworthy.operators.maintenance import SweepStagingOperator
from include.catalog import catalog
from include.database.tables import gate_result
from include.errors import DataError, PartitionMissing, QualityFailed
from include.storage import reports
from tests.contracts.frames import generate

ARRIVALS = catalog().datasets["arrivals"]
DAY = date(2013, 7, 1)
RUN = {"partition_key": "2013-07-01"}


def land(lake, *days, **columns):
    """Land 400 arrivals of each day; `columns` replaces values of the first rows."""
    folder = Path(lake.uri).parent / "landing" / "arrivals"
    folder.mkdir(parents=True, exist_ok=True)
    for day in days:
        frame = generate(ARRIVALS.columns, 400, day)
        for name, values in columns.items():
            frame[name] = [*values, *frame[name][len(values) :]]
        frame.to_csv(folder / f"{day}.csv", index=False)


def extract(context):
    return ExtractPartitionOperator(task_id="extract", dataset="arrivals").execute(context)


def validate(frame):
    return DataValidationOperator(task_id="validate", subject="arrivals", frame=frame)


def publish(frame):
    outlets = [assets.dataset("arrivals")]
    return PublishPartitionOperator(task_id="publish", table="arrivals", frame=frame, outlets=outlets)


def ingest(context):
    return publish(validate(extract(context)).execute(context)).execute(context)


def gate_results(database):
    with database.connect() as connection:
        return [dict(row) for row in connection.execute(select(gate_result)).mappings()]


def test_landed_partition_is_published(lake, database, context):
    land(lake, DAY)
    assert ingest(context(RUN)) == lake.version("arrivals")
    published = lake.read("arrivals", [DAY])
    assert len(published) == 400
    assert set(published["_airworthy_day"]) == {"2013-07-01"}


def test_repeated_run_leaves_one_copy(lake, database, context):
    land(lake, DAY)
    for attempt in (1, 2):
        run = context(RUN)
        run["ti"].try_number = attempt
        ingest(run)
    assert len(lake.read("arrivals")) == 400
    assert [row["run"][-2:] for row in gate_results(database)] == ["/1", "/2"]


def test_bulk_run_publishes_its_days_and_announces_the_range(lake, database, context):
    days = [DAY, DAY + timedelta(days=1)]
    land(lake, *days)
    run = context(params={"first": "2013-07-01", "last": "2013-07-02"})
    version = lake.version("arrivals")
    ingest(run)
    assert version is None
    assert lake.days("arrivals") == days
    assert run["outlet_events"][assets.dataset("arrivals")].partition_keys == {"2013-07-01..2013-07-02"}


def test_gate_leaves_figures_results_a_page_and_a_link(lake, database, context):
    land(lake, DAY, arr_delay=[9_999.0])
    run = context(RUN)
    operator = validate(extract(context(RUN)))
    operator.execute(run)
    assert run["ti"].pushed["figures"] == {
        "rows": 400,
        "quarantined": 1,
        "failed": {
            "critical": ["expect_column_values_to_be_between(arr_delay)"],
            "info": ["expect_column_values_to_be_between(partitions_before)"],
        },
    }
    (row,) = gate_results(database)
    assert (row["subject"], row["partition"], row["passed"]) == ("arrivals", "2013-07-01", True)
    assert "arr_delay" in reports.read_report(lake.uri, {}, "quality/arrivals/2013-07-01.html")
    link = DataDocsLink().get_link(operator, ti_key=None)
    assert link.endswith("/airworthy/reports/quality/arrivals/2013-07-01.html")


def test_rejected_row_goes_to_the_quarantine(lake, database, context):
    land(lake, DAY, arr_delay=[9_999.0])
    ingest(context(RUN))
    assert len(lake.read("arrivals", [DAY])) == 399
    (rejected,) = lake.read("arrivals_quarantine", [DAY]).to_dict("records")
    assert rejected["arr_delay"] == "9999.0"
    assert "arr_delay" in rejected["_reasons"]


def test_validation_links_to_the_rows_that_it_rejected(lake, database, context):
    land(lake, DAY, arr_delay=[9_999.0])
    operator = validate(extract(context(RUN)))
    operator.execute(context(RUN))
    link = QuarantinedRowsLink().get_link(operator, ti_key=None)
    page = reports.read_report(lake.uri, {}, link.partition("/airworthy/reports/")[2])
    assert "9999.0" in page
    assert "1 rejected rows are pending" in page


def test_validation_without_rejected_rows_links_to_none(lake, database, context):
    land(lake, DAY)
    operator = validate(extract(context(RUN)))
    operator.execute(context(RUN))
    assert QuarantinedRowsLink().get_link(operator, ti_key=None) == ""


def test_failed_partition_has_results_and_is_not_published(lake, database, context):
    land(lake, DAY, arr_delay=[9_999.0] * 30)
    run = context(RUN)
    operator = validate(extract(run))
    with pytest.raises(QualityFailed, match="arr_delay"):
        operator.execute(run)
    assert run["ti"].pushed["figures"]["quarantined"] == 30
    assert [row["passed"] for row in gate_results(database)] == [False]
    assert len(lake.read("arrivals_quarantine", [DAY])) == 30
    assert lake.version("arrivals") is None
    assert DataDocsLink().get_link(operator, ti_key=None) != ""


def test_partition_that_has_not_landed_is_not_extracted(lake, context):
    with pytest.raises(PartitionMissing, match=r"arrivals/2013-07-01\.csv"):
        extract(context(RUN))


def test_deleted_frame_names_the_task_to_clear(lake, database, context):
    land(lake, DAY)
    path = extract(context(RUN))
    operator = SweepStagingOperator(task_id="sweep", older_than=timedelta(days=-1))
    assert operator.execute(context()) == 1
    with pytest.raises(DataError, match="clear the task that writes it"):
        validate(path).execute(context(RUN))


def publish_sources(lake):
    for name, days in {"flights": [DAY], "weather": [DAY - timedelta(days=1), DAY]}.items():
        columns = catalog().datasets[name].columns
        frames = [generate(columns, 300, day).assign(_airworthy_day=f"{day}") for day in days]
        lake.publish(name, pd.concat(frames), days, metadata={})


def test_features_are_built_validated_and_published(lake, database, context):
    publish_sources(lake)
    run = context(RUN)
    built = BuildFeaturesOperator(task_id="build", feature_view="flight_features").execute(run)
    gate = DataValidationOperator(task_id="validate", subject="flight_features", frame=built)
    publish = PublishPartitionOperator(task_id="publish", table="flight_features", frame=gate.execute(run))
    publish.execute(run)
    declared = {column.name for column in catalog().feature_views["flight_features"].columns}
    assert set(lake.read("flight_features", [DAY])) == declared | {"_airworthy_day"}


def test_features_without_a_dataset_are_not_built(lake, context):
    with pytest.raises(PartitionMissing, match="flights"):
        BuildFeaturesOperator(task_id="build", feature_view="flight_features").execute(context(RUN))
