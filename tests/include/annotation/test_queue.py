from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from unittest.mock import create_autospec
from uuid import uuid4

import pandas as pd
import pytest

from include.annotation.label_rows import Event
from include.annotation.queue import select_queue, select_suspects
from include.database.tables import inference_log
from include.declarations import AnnotationQueue, Label
from include.errors import DataError
from include.inference.predictions import PREDICTION, VERSION
from include.modeling.registry.registry import Registry
from include.pseudonyms import pseudonym
from include.release import rollout_status
from include.settings import settings
from include.use_cases.air_time import USE_CASE
from tests.include.annotation.conftest import NEXT
from tests.personal_columns import declare_personal


@pytest.fixture
def queue(champion, lake, database):
    """Return a function that selects rows by one rule, or by all."""

    def select(*rules, **options):
        declared = AnnotationQueue(rules=rules) if rules else AnnotationQueue()
        case = champion.use_case.model_copy(update={"annotation": declared})
        changed = replace(champion, use_case=options.pop("use_case", case))
        with database.connect() as connection:
            return select_queue(changed, connection, lake, importance={}, **options)

    return select


def flights_of(rows):
    return [row.event.entity[0] for row in rows]


def test_the_planted_drifted_row_comes_first(queue, serve, unlabelled):
    # Of normal numbers, one may be beyond the training rows by chance.
    unlabelled = unlabelled.assign(wind_speed=10.0, pressure=1_015.0)
    unlabelled.loc[7, "distance"] = 99_999.0
    unlabelled.loc[8, "carrier"] = "ZZ"
    serve(unlabelled)
    rows = queue("drifted", limit=2)
    assert set(flights_of(rows)) == {"2013-01-06-07", "2013-01-06-08"}
    assert {row.rule for row in rows} == {"drifted"}
    assert rows == queue("drifted", limit=2)


def test_the_row_of_two_opinions_comes_first(queue, serve, unlabelled, database):
    gateway_ids = [uuid4(), uuid4()]
    for number, gateway_id in enumerate(gateway_ids):
        row = unlabelled.iloc[number : number + 1]
        serve(row, gateway_id=gateway_id, predictions=[100.0])
        serve(row, gateway_id=gateway_id, predictions=[101.0 + 50 * number], version=2, role="shadow")
    serve(unlabelled.iloc[2:5])
    assert flights_of(queue("disagreement")) == ["2013-01-06-01", "2013-01-06-00"]


def test_without_copies_no_row_is_in_disagreement(queue, serve, unlabelled):
    serve(unlabelled)
    assert queue("disagreement") == []


def test_the_least_certain_row_comes_first(queue, serve, unlabelled, champion):
    case = champion.use_case.model_copy(
        update={
            "task": "binary",
            "label": Label(dataset="arrivals", column="air_time", above=100),
            "annotation": AnnotationQueue(rules=("uncertain",)),
        }
    )
    serve(unlabelled.iloc[:3], predictions=[0.9])
    serve(unlabelled.iloc[3:4], predictions=[0.52])
    rows = queue(use_case=case, limit=1)
    assert flights_of(rows) == ["2013-01-06-03"]
    assert (rows[0].rule, rows[0].prediction) == ("uncertain", "0.52")


def test_a_regression_has_no_uncertain_rows(queue, serve, unlabelled):
    serve(unlabelled)
    assert queue("uncertain") == []


def test_rows_with_a_label_or_without_an_entity_are_left_out(queue, serve, unlabelled, champion):
    serve(champion.reference.iloc[:50])
    serve(unlabelled.iloc[:1], entity_id=None)
    assert queue() == []


def test_rows_of_another_version_are_left_out(queue, serve, unlabelled):
    serve(unlabelled.iloc[:5], version=2, role="challenger")
    assert queue() == []


def test_scored_partitions_are_queued_by_their_day(queue, lake, unlabelled):
    scored = unlabelled[["flight_id", "_airworthy_day"]].assign(**{PREDICTION: 100.0, VERSION: 1})
    lake.publish("air_time_predictions", scored, [NEXT], metadata={})
    rows = queue("drifted", limit=3)
    assert [row.event.at for row in rows] == [NEXT] * 3
    assert set(rows[0].features) == set(USE_CASE.features)


def test_personal_values_are_not_shown(queue, serve, unlabelled, champion, lake, database, monkeypatch):
    declared = declare_personal("flight_id", "carrier")
    monkeypatch.setattr("include.specifications.catalog", lambda: declared)
    specification = replace_views(champion, declared)
    key = settings().pseudonym_key
    hidden = unlabelled.iloc[:3].assign(
        flight_id=[pseudonym(value, key) for value in unlabelled["flight_id"].iloc[:3]],
        carrier=[pseudonym(value, key) for value in unlabelled["carrier"].iloc[:3]],
    )
    serve(hidden)
    with database.connect() as connection:
        rows = select_queue(replace(champion, specification=specification), connection, lake, importance={})
    assert rows
    assert all(row.event.entity[0].startswith("pseudonym:") for row in rows)
    assert "carrier" not in rows[0].features
    assert "distance" in rows[0].features


def replace_views(champion, declared):
    """Return the specification with the selection of another catalogue."""
    return champion.specification.model_copy(update={"selection": declared.features_of(champion.use_case)})


def test_an_anomaly_task_has_no_queue(queue, champion):
    case = champion.use_case.model_copy(update={"label": Label.absent("flight_features")})
    with pytest.raises(DataError, match="has no label"):
        queue(use_case=case)


def test_the_time_that_a_caller_sent_is_the_event(queue, unlabelled, database):
    row = {"flight_id": "f", "scheduled_departure": "2013-01-06T12:00:00Z", "distance": 99_999.0}
    with database.begin() as connection:
        connection.execute(
            inference_log.insert(),
            {
                "use_case": "air_time", "request_id": "r", "version": 1, "role": "champion",
                "received_at": rollout_status.database_time(database) - timedelta(hours=1),
                "latency_ms": 4.0, "status": 200, "inputs": [row], "predictions": [100.0],
            },
        )  # fmt: skip
    [queued] = queue("drifted")
    assert queued.event.at == pd.Timestamp("2013-01-06T12:00Z")


SUSPECTS = (
    "flight_id,_airworthy_day,label,suggested,margin\n"
    "2013-01-06-03,2013-01-06,12.0,80.5,68.5\n2013-01-06-04,2013-01-06,13.0,81.5,68.5\n"
)


def test_suspected_labels_of_a_version_are_queued():
    registry = create_autospec(Registry, instance=True)
    registry.tags_of.return_value = {"airworthy.run_id": "run"}
    registry.read_file.return_value = SUSPECTS.encode()
    [row] = select_suspects(registry, USE_CASE, 3, limit=1)
    assert (row.event, row.rule) == (Event(("2013-01-06-03",), NEXT), "suspected")
    assert row.prediction == "80.5, and the label is 12.0"
    registry.read_file.assert_called_once_with("run", "suspected_labels.csv")


def test_a_version_without_suspects_queues_none():
    registry = create_autospec(Registry, instance=True)
    registry.tags_of.return_value = {"airworthy.run_id": "run"}
    registry.read_file.return_value = None
    assert select_suspects(registry, USE_CASE, 3) == []
