"""Requests of a rollout step, read from PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import numpy as np
import pytest
from sqlalchemy import text

from include.database.tables import access_log, inference_log, ledger
from include.declarations import Rollout
from include.release.analysis import RequestCounts, StepWindow, analyse, observe
from include.release.analysis.observations import as_number, count_repeats
from include.use_cases.flight_delay import USE_CASE as FLIGHT_DELAY
from tests.access_rows import access_row, log_requests, mark_complete

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
ROLLOUT = Rollout(bake=60, patience=3_600, minimum_requests=100, fewest_requests=100, maximum_latency_ratio=2)


def verdict(observation, stage="canary"):
    return analyse(observation, ROLLOUT, stage=stage)


def row(number, version, role, **changes):
    values = {
        "use_case": "delay", "request_id": f"r{number}", "version": version, "role": role, "entity_id": None,
        "received_at": BEGIN + timedelta(seconds=number), "latency_ms": 5.0, "status": 200, "inputs": None,
        "predictions": [0.5],
    }  # fmt: skip
    return values | changes


log = log_requests


USE_CASE = FLIGHT_DELAY.model_copy(update={"name": "delay", "rollout": ROLLOUT})


def observed(database, since=BEGIN, use_case=USE_CASE, champion=1, role="challenger"):
    copies = (role,) if role != "challenger" else ()
    window = StepWindow(since, since, not copies, copies, seconds=600.0, share=0.5)
    with database.connect() as connection:
        return observe(connection, use_case, champion, 2, window=window)


def test_observe_counts_only_the_use_case_and_its_two_versions(database):
    log(database, [row(n, 1, "champion", latency_ms=float(n)) for n in range(1, 102)])
    log(database, [row(n, 2, "challenger", latency_ms=2.0 * n) for n in range(1, 12)])
    log(database, [row(n, 2, "challenger", use_case="other", status=500) for n in range(9)])
    log(database, [row(n, 3, "challenger", status=500) for n in range(9)])
    observation = observed(database)
    assert observation.champion.counts == RequestCounts(requests=101, p50=51.0, p99=100.0)
    assert observation.challenger.counts == RequestCounts(requests=11, p50=12.0, p99=pytest.approx(21.8))
    assert observed(database, role="shadow").challenger.counts == RequestCounts()
    assert observation.rate == pytest.approx(0.5 * 112 / 600)


@pytest.mark.parametrize(
    ("seen_by_gateway", "counts"),
    [
        ({"first_version": 2, "version": 1, "retries": 1}, RequestCounts(1, errors=1)),
        # It was down or full, so that the champion was asked at once.
        ({"first_version": 1, "version": 1}, RequestCounts(1, errors=1)),
        ({"first_version": 2, "version": 1, "retries": 1, "status": 504}, RequestCounts(1, errors=1)),
        ({"first_version": 2, "version": 1, "retries": 1, "status": 400}, RequestCounts(1, refused=1)),
        ({"first_version": 2, "version": 2, "status": -1, "termination": "CH"}, RequestCounts(abandoned=1)),
        ({"first_version": None, "version": None, "status": 503, "termination": "SC"}, RequestCounts(1, 1)),
        ({"version": 2, "endpoint": "explanations"}, RequestCounts()),
        ({"version": 2, "eligible": False}, RequestCounts()),
    ],
    ids=["retried", "down", "both failed", "bad request", "caller left", "nobody", "explanation", "large"],
)
def test_outcome_is_what_the_gateway_saw(database, seen_by_gateway, counts):
    entry = access_row(assigned_version=2, received_at=BEGIN, challenger=2, **seen_by_gateway)
    with database.begin() as connection:
        connection.execute(access_log.insert(), entry)
    observation = observed(database)
    assert observation.challenger.counts == counts
    assert observation.champion.counts == RequestCounts()
    # What a caller waited for before it left is a latency, too.
    assert observation.challenger.latencies.sum() == counts.abandoned


def test_request_that_only_the_challenger_refused_is_refused(database):
    log(database, [row(1, 2, "challenger", status=422, predictions=None)])
    assert observed(database).challenger.counts == RequestCounts(1, refused=1)


def test_copy_without_a_response_failed_whatever_it_recorded(database):
    log(database, [row(1, 1, "champion"), row(1, 2, "shadow", status=504), row(1, 2, "shadow")])
    log(database, [row(2, 1, "champion"), row(2, 2, "shadow")])
    counts = observed(database, role="shadow").challenger.counts
    assert (counts.requests, counts.errors) == (2, 1)


def test_log_is_complete_until_the_watermark(database):
    assert observed(database).logged_s == -np.inf
    mark_complete(database, BEGIN + timedelta(seconds=590))
    observation = observed(database)
    assert (observation.logged_s, observation.behind_s) == (590, 10)


def test_repeated_request_id_pairs_each_request_once(database):
    log(database, [row(1, 1, "champion", predictions=[0.1]), row(1, 2, "shadow", predictions=[0.4])])
    again = {"received_at": BEGIN + timedelta(seconds=9)}
    first = row(1, 1, "champion", predictions=[0.2], **again) | {"gateway_id": uuid4()}
    with database.begin() as connection:
        connection.execute(inference_log.insert(), first)
    assert observed(database).shifts == pytest.approx((0.3,))


def test_status_4xx_is_refused_and_not_an_error(database):
    log(
        database, [row(n, 2, "challenger", status=status) for n, status in enumerate((200, 422, 503, 0, 302))]
    )
    challenger = observed(database).challenger.counts
    assert (challenger.requests, challenger.refused, challenger.errors) == (5, 1, 3)


def test_predictions_are_compared_once_per_request(database):
    log(database, [row(1, 1, "champion", predictions=[0.1]), row(1, 2, "shadow", predictions=[0.4])])
    log(
        database, [row(2, 1, "champion", predictions=[0.5] * 99), row(2, 2, "shadow", predictions=[0.6] * 99)]
    )
    log(database, [row(3, 1, "champion", status=500, predictions=None), row(3, 2, "shadow", predictions=[9])])
    log(database, [row(4, 2, "shadow", predictions=[9])])
    observation = observed(database)
    assert observation.shifts == pytest.approx((0.3, 0.1))
    assert observation.shape_mismatches == 0


def test_predictions_of_another_length_are_a_shape_mismatch(database):
    log(database, [row(1, 1, "champion", predictions=[1, 2]), row(1, 2, "shadow", predictions=[1])])
    observation = observed(database)
    assert (len(observation.shifts), observation.shape_mismatches) == (0, 1)


def test_prediction_shift_is_a_share_of_the_prediction_range(database):
    log(database, [row(1, 1, "champion", predictions=[100]), row(1, 2, "shadow", predictions=[160])])
    minutes = USE_CASE.model_copy(update={"prediction_range": (0, 1000)})
    assert observed(database, use_case=minutes).shifts == (pytest.approx(0.06),)


def staged(database, moment):
    entry = {"use_case": "delay", "event": "staged", "version": 2, "actor": "ann", "reason": "rollout begins"}
    with database.begin() as connection:
        key = connection.execute(ledger.insert().returning(ledger.c.id), entry).scalar_one()
        # The ledger stamps its entries itself; only without its triggers can a test choose the time.
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(ledger.update().where(ledger.c.id == key).values(at=moment))


def test_champion_without_traffic_is_observed_since_the_start(database):
    staged(database, BEGIN - timedelta(days=9))
    staged(database, BEGIN)
    log(database, [row(n, 1, "champion", received_at=BEGIN - timedelta(days=1)) for n in range(500, 600)])
    log(database, [row(n, 1, "champion") for n in range(150)])
    log(database, [row(n, 2, "shadow", predictions=[0.6]) for n in range(150)])
    log(database, [row(n, 2, "challenger", status=500) for n in range(150, 200)])
    log(database, [row(n, 2, "challenger") for n in range(200, 400)])
    observation = observed(database, since=BEGIN + timedelta(seconds=200))
    assert (observation.champion.counts.requests, len(observation.shifts)) == (150, 150)
    counts = observation.challenger.counts
    assert (counts.requests, counts.errors) == (200, 0)
    assert verdict(observation).outcome == "promote"


def test_champion_with_enough_traffic_is_observed_in_the_window(database):
    staged(database, BEGIN)
    log(database, [row(n, 1, "champion") for n in range(300)])
    assert observed(database, since=BEGIN + timedelta(seconds=200)).champion.counts.requests == 100


def test_first_model_is_observed_without_a_champion(database):
    log(database, [row(1, 2, "challenger")])
    observation = observed(database, champion=None)
    assert observation.champion is None
    assert observation.challenger.counts.requests == 1


def test_multiclass_shift_is_the_probability_mass_that_moved(database):
    old = [[0.7, 0.2, 0.1], [0.5, 0.5, 0.0]]
    new = [[0.6, 0.3, 0.1], [0.5, 0.2, 0.3]]
    log(database, [row(1, 1, "champion", predictions=old), row(1, 2, "shadow", predictions=new)])
    observation = observed(database)
    assert observation.shape_mismatches == 0
    assert observation.shifts == (pytest.approx((0.1 + 0.3) / 2),)


@pytest.mark.parametrize("other", [[[0.5, 0.5]], [0.5], [[0.2, 0.3, 0.5]] * 2])
def test_predictions_of_other_classes_are_a_shape_mismatch(database, other):
    log(
        database,
        [row(1, 1, "champion", predictions=[[0.2, 0.3, 0.5]]), row(1, 2, "shadow", predictions=other)],
    )
    observation = observed(database)
    assert (observation.shifts, observation.shape_mismatches) == ((), 1)


def test_strata_are_by_time_and_number_of_rows(database):
    log(database, [row(n, 1, "champion", inputs=[{}]) for n in range(60)])
    log(database, [row(n, 2, "challenger", inputs=[{}], status=500) for n in range(40, 70)])
    log(database, [row(n, 1, "champion", inputs=[{}] * 9) for n in range(100, 110)])
    strata = observed(database).strata
    # The first and the last 30 s have requests of one version only, as has each further number of rows.
    assert strata.champion.tolist() == [[30], [0], [0]]
    assert strata.challenger.tolist() == [[20], [20], [0]]


def test_stratum_that_is_not_over_is_left_out(database):
    with database.connect() as connection:
        now = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    log(database, [row(n, 2, "challenger", received_at=now) for n in range(9)])
    observation = observed(database, since=now)
    assert observation.challenger.counts.requests == 9
    assert observation.strata.challenger.shape == (3, 0)


def test_response_without_numbers_is_an_error(database):
    log(database, [row(1, 2, "challenger", predictions=[None]), row(2, 2, "challenger", predictions="x")])
    log(database, [row(3, 2, "challenger"), row(4, 2, "challenger", predictions=None)])
    counts = observed(database).challenger.counts
    assert (counts.requests, counts.errors, counts.answered) == (4, 2, 2)


def test_latencies_are_counted_by_size_and_class(database):
    log(database, [row(n, 1, "champion", latency_ms=0.05) for n in range(3)])
    log(database, [row(n, 1, "champion", latency_ms=9e9, inputs=[{}] * 500) for n in range(3, 5)])
    log(database, [row(9, 1, "champion", latency_ms=float("nan"))])
    latencies = observed(database).champion.latencies
    assert (latencies[0, 0], latencies[3, -1], latencies.sum()) == (3, 2, 5)


def test_thresholds_are_deciles_of_earlier_predictions(database):
    log(database, [row(-n, 1, "champion", predictions=[n / 100]) for n in range(1, 100)])
    log(database, [row(n, 1, "champion", predictions=[0.99]) for n in range(99)])
    assert observed(database).thresholds == pytest.approx(np.arange(10, 100, 10) / 100, abs=0.011)


def test_thresholds_without_earlier_predictions_are_even(database):
    assert observed(database).thresholds == pytest.approx(np.arange(1, 10) / 10)


@pytest.mark.parametrize(
    ("prediction", "number"),
    [
        (0.5, 0.5),
        (3, 3.0),
        ([0.2, 0.7, 0.1], 1.0),
        ([], None),
        ([None, 1.0], None),
        (None, None),
        ("x", None),
    ],
)
def test_prediction_as_number(prediction, number):
    assert as_number(prediction) == number


def test_repeats_are_counted_in_disjoint_pairs_of_inputs():
    same = [(0.5, "a"), (0.5, "b"), (0.5, "c"), (0.5, "c"), (0.5, "d"), (0.6, "e"), (0.5, "f")]
    assert count_repeats(same) == (1, 2)
