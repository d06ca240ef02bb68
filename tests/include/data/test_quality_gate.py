"""The quality gate: evidence, page and quarantine of partitions that pass or fail."""

from __future__ import annotations

from datetime import date, timedelta

import pandas as pd
import pytest
from sqlalchemy import select

from include.data.quality_gate import page_path, run_quality_gate
from include.database.tables import gate_result
from include.declarations import Column, Dataset, FeatureView, FileSource, Freshness, ViewSource
from include.storage import reports

DAYS = [date(2013, 1, 1), date(2013, 1, 2)]
COLUMNS = (Column(name="id", dtype="string"), Column(name="speed", dtype="number", maximum=100))
CARS = Dataset(
    name="cars", owner="ann", description="Cars.", source=FileSource(path="cars/{partition}.csv"),
    columns=COLUMNS, key=("id",), first_partition=DAYS[0], quarantine_limit=0.2,
)  # fmt: skip
CAR_FEATURES = FeatureView(
    name="car_features", owner="ann", description="Cars.", sources=(ViewSource(dataset="cars"),), entity="id",
    time="at", columns=(*COLUMNS, Column(name="at", dtype="timestamp")),
)  # fmt: skip


@pytest.fixture
def gate(lake, database):
    def validate(frame, declared=CARS, run="ingestion/run/1"):
        return run_quality_gate(declared, frame, DAYS, lake=lake, engine=database, run=run)

    return validate


def evidence(database):
    with database.connect() as connection:
        return [dict(row) for row in connection.execute(select(gate_result)).mappings()]


def test_good_rows_pass_with_evidence_and_a_page(gate, rows, database, lake):
    report = gate(rows(10))
    assert report.passed
    (row,) = evidence(database)
    assert (row["subject"], row["run"], row["partition"]) == (
        "cars",
        "ingestion/run/1",
        "2013-01-01..2013-01-02",
    )
    assert (row["passed"], row["rows"], row["quarantined"]) == (True, 20, 0)
    assert "<html" in reports.read_report(lake.uri, {}, page_path("cars", DAYS)).lower()
    assert lake.version("cars_quarantine") is None


def test_rejected_row_is_quarantined_with_its_reason(gate, rows, lake):
    frame = rows(10)
    frame.loc[3, "speed"] = 999.0
    report = gate(frame)
    assert (report.passed, len(report.accepted)) == (True, 19)
    (refused,) = lake.read("cars_quarantine").to_dict("records")
    assert (refused["speed"], refused["_airworthy_day"]) == ("999.0", "2013-01-01")
    assert "speed" in refused["_reasons"]


def test_too_many_rejected_rows_fail_with_evidence(gate, rows, database, lake):
    frame = rows(10).assign(speed=999.0)
    assert not gate(frame).passed
    assert [(row["passed"], row["quarantined"]) for row in evidence(database)] == [(False, 20)]
    assert len(lake.read("cars_quarantine")) == 20
    assert "speed" in reports.read_report(lake.uri, {}, page_path("cars", DAYS))


def test_corrected_partition_empties_its_quarantine(gate, rows, lake):
    gate(rows(10).assign(speed=999.0))
    gate(rows(10))
    assert len(lake.read("cars_quarantine")) == 0


def test_each_attempt_has_its_own_evidence(gate, rows, database):
    for attempt in (1, 2):
        gate(rows(10), run=f"ingestion/run/{attempt}")
    assert [row["run"] for row in evidence(database)] == ["ingestion/run/1", "ingestion/run/2"]


def test_feature_view_with_one_bad_row_is_refused(gate, rows):
    moments = pd.Timestamp("2013-01-01T10:00Z").as_unit("us")
    frame = rows(10).assign(at=moments, cars_known_at=moments)
    assert gate(frame, CAR_FEATURES).passed
    frame.loc[0, "speed"] = 999.0
    assert not gate(frame, CAR_FEATURES).passed


def test_feature_view_with_a_repeated_entity_is_refused(gate, rows):
    moments = pd.Timestamp("2013-01-01T10:00Z").as_unit("us")
    frame = rows(10).assign(at=moments, cars_known_at=moments)
    frame.loc[1, "id"] = frame.loc[0, "id"]
    assert not gate(frame, CAR_FEATURES).passed


def own_rules():
    import great_expectations.expectations as gxe

    return [
        gxe.ExpectColumnValuesToMatchRegex(column="id", regex=r"^2013-"),
        gxe.ExpectColumnMaxToBeBetween(column="speed", max_value=50, severity="warning"),
    ]


def test_own_expectations_of_a_dataset_reject_rows(gate, rows, lake):
    declared = CARS.model_copy(update={"expectations": f"{__name__}:own_rules"})
    frame = rows(10)
    frame.loc[3, "id"] = "x"
    frame.loc[4, "speed"] = 60.0
    report = gate(frame, declared)
    assert (report.passed, len(report.accepted)) == (True, 19)
    (refused,) = lake.read("cars_quarantine").to_dict("records")
    assert refused["_reasons"] == "does not hold with regex=^2013-"
    assert report.failed["warning"] == ["expect_column_max_to_be_between(speed)"]


def test_feature_view_has_the_checks_of_a_dataset(gate, rows):
    moments = pd.Timestamp("2013-01-01T23:00Z").as_unit("us") + pd.to_timedelta([0, 24], unit="h").repeat(10)
    frame = rows(10).assign(at=moments, cars_known_at=moments)
    declared = CAR_FEATURES.model_copy(
        update={
            "quarantine_limit": 0.1,
            "freshness": Freshness(column="at", within=timedelta(hours=2)),
            "expectations": f"{__name__}:own_rules",
        }
    )
    frame.loc[3, "id"] = "x"
    report = gate(frame, declared)
    assert (report.passed, len(report.accepted)) == (True, 19)
    assert not gate(frame.assign(at=moments - timedelta(hours=3)), declared).passed


@pytest.mark.parametrize(
    ("days", "path"),
    [
        (DAYS[:1], "quality/cars/2013-01-01.html"),
        (DAYS, "quality/cars/2013-01-01..2013-01-02.html"),
    ],
)
def test_page_path_names_the_partitions(days, path):
    assert page_path("cars", days) == path
