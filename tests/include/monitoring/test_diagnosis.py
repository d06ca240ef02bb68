from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import insert

from include.database.table_checks import LEAKAGE_CHECK
from include.database.tables import gate_result
from include.monitoring.diagnosis import find_late_labels, find_upstream_fault, name_causes
from include.monitoring.label_quality import Quality
from include.use_cases.flight_delay import USE_CASE

WINDOW = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 8, tzinfo=UTC))
LANDED = Quality("good", "", 400, 400, 1.0, 0.3, {}, window=WINDOW)


def late(*windows):
    return find_late_labels(replace(LANDED, windows=windows), USE_CASE)


def test_labels_that_stopped_are_named_with_their_figures():
    text = late(replace(LANDED, completeness=0.1), LANDED)
    assert text == (
        "labels stopped coming: 10.0% of those of 400 predictions until 2026-01-08 00:00 have landed, "
        "90% are needed"
    )


def test_labels_that_come_are_not_late():
    assert late(LANDED) == ""
    assert late(replace(LANDED, completeness=0.86)) == ""


def test_few_predictions_say_nothing_about_labels():
    assert late(replace(LANDED, predictions=99, completeness=0.0), LANDED) == ""
    assert late() == ""


def test_causes_name_what_was_measured():
    shifted = replace(LANDED, shifts={"label": {"drifted": True}}, cause="concept drift")
    assert name_causes("no_drift", LANDED) == ()
    assert name_causes("drift", shifted) == ("covariate shift", "label shift", "concept drift")
    assert name_causes("drift", shifted, is_faulty=True) == ("data fault",)


def test_leakage_check_does_not_hide_a_fault_of_the_data(database):
    row = {"subject": "flight_features", "run": "r", "partition": "2013-07-01", "rows": 24, "quarantined": 0}
    leakage = [{"expectation": LEAKAGE_CHECK}]
    rows = [row | {"results": [], "passed": False}, row | {"results": leakage, "passed": True}]
    with database.begin() as connection:
        connection.execute(insert(gate_result), rows)
        fault = find_upstream_fault(connection, ["flight_features"], None)
    assert fault == "flight_features 2013-07-01 failed its checks"
