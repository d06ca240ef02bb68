"""AnnotationOperator with PostgreSQL, MLflow, a Delta lake and a landing folder."""

from __future__ import annotations

import csv
from datetime import timedelta
from pathlib import Path

import pytest

from airflow.sdk.exceptions import AirflowSkipException

from airworthy.operators.annotation import CORRECT, EXPORT, IMPORT, AnnotationOperator
from include.errors import DataError, PartitionMissing
from include.release import rollout_status
from tests.plugins.airworthy.operators.rollout_steps import ledger_events

FLIGHT = "2013-01-03-85"


@pytest.fixture
def landing(tmp_path):
    return tmp_path / "landing"


@pytest.fixture
def annotate(context):
    """Return a function that runs an action with the parameters of a form."""

    def run(use_case, action, *, attempt=1, **params):
        operator = AnnotationOperator(task_id="annotate", use_case=use_case.name, action=action)
        changes = context({"run_id": "manual__1", "triggering_user_name": "ann"}, params=params)
        changes["ti"].try_number = attempt
        return operator.execute(changes)

    return run


@pytest.fixture
def answered(champion, flown, serve):
    """Return the champion, which answered a request for a flight of 3 January."""
    serve(champion.name, 1, "champion", rows=[{"flight_id": FLIGHT, "hour": 7}], request_id="r")
    return champion


def test_a_correction_plans_the_ingestion_of_its_day(answered, annotate, landing, database):
    runs = annotate(answered, CORRECT, request="r", label="42", reason="the tower's log")
    assert runs == [
        {
            "trigger_run_id": "labels__2013-01-03__manual__1",
            "conf": {"first": "2013-01-03", "last": "2013-01-03"},
        }
    ]
    assert f"{FLIGHT},,42.0," in (landing / "arrivals" / "2013-01-03.csv").read_text()
    assert ledger_events(database, answered)[-1] == "corrected"


def test_a_second_try_starts_the_ingestion_of_the_first(answered, annotate):
    values = {"request": "r", "label": "42", "reason": "the tower's log"}
    runs = annotate(answered, CORRECT, **values)
    assert annotate(answered, CORRECT, **values) == []
    assert annotate(answered, CORRECT, attempt=2, **values) == runs


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"request": "r", "label": "42"}, "give the parameter reason"),
        ({"request": "r", "reason": "wrong"}, "give the parameters request and label"),
        ({"request": "x", "label": "42", "reason": "wrong"}, "No request x"),
    ],
)
def test_an_incomplete_form_is_refused(answered, annotate, landing, params, message):
    with pytest.raises(DataError, match=message):
        annotate(answered, CORRECT, **params)
    assert not landing.exists()


def test_an_export_is_filled_in_and_imported(champion, flown, serve, annotate, landing, database):
    rows = [{"flight_id": f"new-{number}", "hour": number, "distance": 500.0} for number in range(5)]
    # The newest requests may not be in the log yet, and are not read.
    moment = rollout_status.database_time(database) - timedelta(hours=1)
    serve(champion.name, 1, "champion", rows=rows, received_at=moment)
    # The lake does not know the flights, so their labels would belong to the day of the request.
    assert annotate(champion, EXPORT, rows=3) == []
    file = Path(landing, f"annotations/{champion.name}_to_label.csv")
    with file.open() as stream:
        exported = list(csv.DictReader(stream))
    assert len(exported) == 3
    with pytest.raises(PartitionMissing, match=r"_labelled\.csv is not there"):
        annotate(champion, IMPORT, reason="checked")
    labelled = file.with_name(f"{champion.name}_labelled.csv")
    labelled.write_bytes(b"\xff")
    with pytest.raises(DataError, match="no text in UTF-8"):
        annotate(champion, IMPORT, reason="checked")
    labelled.write_bytes(file.read_bytes())
    with pytest.raises(DataError, match="The file has no label"):
        annotate(champion, IMPORT, reason="checked")


def test_without_a_champion_the_export_is_skipped(use_case, flown, registry, annotate):
    with pytest.raises(AirflowSkipException, match="no champion yet"):
        annotate(use_case, EXPORT)
