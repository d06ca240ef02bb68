"""DriftDetectionOperator with PostgreSQL, MLflow and a Delta lake."""

from __future__ import annotations

import resource
from datetime import timedelta

import pytest

from airflow.sdk.exceptions import AirflowSkipException

from airworthy.links import DriftReportLink
from airworthy.operators.drift import DriftDetectionOperator
from include.errors import PartitionMissing, ServiceUnavailable
from include.release import rollout_status
from include.storage import reports
from tests.plugins.conftest import FEATURES


def detect(champion, run):
    operator = DriftDetectionOperator(task_id="detect_drift", use_case=champion.name)
    return operator, operator.execute(run)


def test_requests_like_the_training_rows_are_no_drift(champion, log_requests, context):
    log_requests()
    run = context()
    _, outcome = detect(champion, run)
    figures = run["ti"].pushed["figures"]
    assert outcome == figures["outcome"] == "no_drift"
    assert (figures["rows"], figures["source"]) == (300, "requests")
    assert set(figures["columns"]) == set(FEATURES)


def test_drift_names_its_columns_without_failing(champion, log_requests, context):
    log_requests(distance=4_000.0, hour=3)
    run = context()
    _, outcome = detect(champion, run)
    drifted = {name for name, drifted in run["ti"].pushed["figures"]["columns"].items() if drifted}
    assert outcome == "drift"
    assert drifted == {"distance", "hour"}


@pytest.mark.parametrize(
    ("run_id", "page"),
    [
        ("scheduled__2013-07-01T06:00:00+00:00", "run_scheduled__2013-07-01T06_00_00_00_00.html"),
        ("~ann's.try", "run__ann_s_try.html"),
    ],
)
def test_drift_report_is_a_page_with_a_link(champion, log_requests, lake, context, run_id, page):
    log_requests()
    operator, _ = detect(champion, context({"run_id": run_id}))
    path = f"drift/{champion.name}/{page}"
    assert "<html" in reports.read_report(lake.uri, {}, path)
    assert DriftReportLink().get_link(operator, ti_key=None).endswith(f"/airworthy/reports/{path}")


def test_drift_is_known_if_the_store_is_full(champion, log_requests, context, monkeypatch):
    def write_to_a_full_disk(*arguments):
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, limits[1]))
        try:
            return write_report(*arguments)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    log_requests()
    write_report = reports.write_report
    monkeypatch.setattr(reports, "write_report", write_to_a_full_disk)
    run = context()
    operator, outcome = detect(champion, run)
    assert (outcome, operator.evidence_url) == ("no_drift", "")
    problem = run["ti"].pushed["figures"]["report_problem"]
    assert problem.startswith("the drift report was not written: No space left on")


def test_drift_is_known_if_the_store_is_away(champion, log_requests, context, monkeypatch):
    def fail(*_):
        raise ServiceUnavailable("the store is away")

    log_requests()
    monkeypatch.setattr(reports, "write_report", fail)
    operator, outcome = detect(champion, context())
    assert (outcome, operator.evidence_url) == ("no_drift", "")


def test_error_is_named_for_the_decision(champion, log_requests, context, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("the log is unreadable")

    monkeypatch.setattr("include.monitoring.champion_check.read_window", fail)
    run = context()
    with pytest.raises(RuntimeError):
        detect(champion, run)
    figures = run["ti"].pushed["figures"]
    assert figures == {"outcome": "inconclusive", "reason": "the log is unreadable", "unknown": True}


def test_window_without_data_is_inconclusive(champion, flown, context, monkeypatch):
    def fail(*_, **__):
        raise PartitionMissing("There is no partition")

    monkeypatch.setattr("include.monitoring.champion_check.read_window", fail)
    run = context()
    _, outcome = detect(champion, run)
    assert outcome == "inconclusive"
    assert run["ti"].pushed["figures"]["reason"].startswith("no data: There is no partition")


def test_late_run_measures_the_window_of_its_moment(champion, log_requests, serve, database, context):
    log_requests()
    run = context()
    detect(champion, run)
    # A request after the moment of the run, which has come when the run is repeated.
    moment = rollout_status.database_time(database) - timedelta(seconds=1)
    serve(champion.name, 1, "champion", rows=[{}], received_at=moment)
    again = context({"run_after": run["dag_run"].run_after})
    detect(champion, again)
    assert again["ti"].pushed == run["ti"].pushed


def test_drift_of_partitions_is_measured_without_requests(champion, flown, context):
    run = context()
    detect(champion, run)
    assert run["ti"].pushed["figures"]["source"] == "partitions"


def test_monitoring_without_a_champion_is_skipped(certified, flown, context):
    with pytest.raises(AirflowSkipException, match="no champion yet"):
        detect(certified, context())
