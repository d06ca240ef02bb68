from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from include.database.tables import inference_log, ledger
from include.declarations import Rollout
from include.release.analysis import Observation, RequestCounts, analyse, observe
from include.use_cases.flight_delay import USE_CASE as FLIGHT_DELAY

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
ROLLOUT = Rollout(
    minimum_requests=100, maximum_error_rate=0.01, maximum_latency_ratio=2, maximum_prediction_shift=0.1
)
FINE = RequestCounts(requests=1_000, p50=4.0, p99=9.0)
GOOD = Observation(champion=FINE, challenger=FINE, shadow=FINE, pairs=1_000, prediction_shift=0.02)


def verdict(observation, stage="canary"):
    return analyse(observation, ROLLOUT, stage=stage)


def challenger(**changes):
    return replace(GOOD, challenger=replace(FINE, **changes))


@pytest.mark.parametrize("stage", ["shadow", "canary"])
def test_challenger_as_good_as_the_champion_is_promoted(stage):
    assert verdict(GOOD, stage).outcome == "promote"


@pytest.mark.parametrize(
    ("observation", "stage", "reason"),
    [
        (challenger(requests=99), "canary", "99 of the 100 requests"),
        (challenger(requests=0, p50=None, p99=None), "canary", "0 of the 100 requests"),
        (replace(GOOD, shadow=RequestCounts()), "shadow", "0 of the 100 requests"),
        (replace(GOOD, champion=RequestCounts()), "canary", "the champion answered 0"),
        (replace(GOOD, pairs=0, prediction_shift=None), "shadow", "0 requests were answered by both"),
        (Observation(None, RequestCounts(), RequestCounts()), "canary", "0 of the 100 requests"),
    ],
    ids=["too few", "no canary", "no shadow", "no champion traffic", "no pairs", "first model unseen"],
)
def test_too_little_traffic_is_inconclusive(observation, stage, reason):
    analysis = verdict(observation, stage)
    assert analysis.outcome == "inconclusive"
    assert reason in analysis.reason


@pytest.mark.parametrize(
    ("observation", "stage", "reason"),
    [
        (challenger(errors=11), "canary", "11 of 1000 requests failed"),
        (challenger(requests=2, errors=2), "canary", "2 of 2 requests failed"),
        (challenger(refused=11), "canary", "refused"),
        (challenger(p50=14.1), "canary", "latency p50"),
        (challenger(p99=19.1), "canary", "latency p99"),
        (replace(GOOD, shadow=replace(FINE, errors=11)), "shadow", "11 of 1000 requests failed"),
        (replace(GOOD, prediction_shift=0.11), "shadow", "differ by 11.0%"),
        (replace(GOOD, prediction_shift=0.11), "canary", "differ by 11.0%"),
        (replace(GOOD, shape_mismatches=1), "shadow", "another number of predictions"),
        (Observation(None, replace(FINE, errors=11), RequestCounts()), "canary", "11 of 1000"),
    ],
)
def test_worse_challenger_is_rolled_back_with_the_reason(observation, stage, reason):
    analysis = verdict(observation, stage)
    assert analysis.outcome == "roll_back"
    assert reason in analysis.reason


@pytest.mark.parametrize(
    "observation",
    [
        challenger(errors=10),
        challenger(requests=100, errors=1),
        replace(challenger(refused=50), champion=replace(FINE, refused=50)),
        challenger(p50=13.9, p99=18.9),
        challenger(requests=150, p99=500.0),
        replace(challenger(p50=0.9), champion=replace(FINE, p50=0.1)),
        replace(GOOD, prediction_shift=0.1),
        replace(GOOD, prediction_shift=0.9, pairs=99),
        Observation(None, FINE, RequestCounts()),
    ],
    ids=["errors allowed", "one error", "callers' mistakes", "under the floor", "tail of few", "noise",
         "shift allowed", "shift of few", "first model"],
)  # fmt: skip
def test_challenger_within_the_limits_is_promoted(observation):
    assert verdict(observation).outcome == "promote"


def test_reason_names_every_problem():
    reason = verdict(replace(challenger(errors=500, p50=900.0), prediction_shift=0.5)).reason
    assert reason.count(";") == 2


@given(
    requests=st.integers(0, 500),
    more=st.integers(0, 500),
    errors=st.integers(0, 500),
    refused=st.integers(0, 9),
)
def test_more_errors_never_turn_a_rollback_into_a_promotion(requests, more, errors, refused):
    counts = RequestCounts(requests=requests, errors=min(errors, requests), refused=refused, p50=4, p99=9)
    worse = replace(counts, errors=min(counts.errors + more, requests))
    if verdict(replace(GOOD, challenger=counts)).outcome == "roll_back":
        assert verdict(replace(GOOD, challenger=worse)).outcome == "roll_back"


def row(number, version, role, **changes):
    values = {
        "use_case": "delay", "request_id": f"r{number}", "version": version, "role": role, "entity_id": None,
        "received_at": BEGIN + timedelta(seconds=number), "latency_ms": 5.0, "status": 200, "inputs": None,
        "predictions": [0.5],
    }  # fmt: skip
    return values | changes


def log(database, rows):
    with database.begin() as connection:
        connection.execute(inference_log.insert(), list(rows))


USE_CASE = FLIGHT_DELAY.model_copy(update={"name": "delay", "rollout": ROLLOUT})


def observed(database, since=BEGIN, use_case=USE_CASE, champion=1):
    with database.connect() as connection:
        return observe(connection, use_case, champion, 2, since=since)


def test_observe_counts_only_the_use_case_and_its_two_versions(database):
    log(database, [row(n, 1, "champion", latency_ms=float(n)) for n in range(1, 102)])
    log(database, [row(n, 2, "challenger", latency_ms=2.0 * n) for n in range(1, 12)])
    log(database, [row(n, 2, "challenger", use_case="other", status=500) for n in range(9)])
    log(database, [row(n, 3, "challenger", status=500) for n in range(9)])
    observation = observed(database)
    assert observation.champion == RequestCounts(requests=101, p50=51.0, p99=100.0)
    assert observation.challenger == RequestCounts(requests=11, p50=12.0, p99=pytest.approx(21.8))
    assert observation.shadow == RequestCounts()


def test_request_failed_by_the_challenger_counts_for_both(database):
    log(database, [row(n, 2, "challenger", status=500, predictions=None, latency_ms=900) for n in range(3)])
    log(database, [row(n, 1, "champion") for n in range(3)])
    observation = observed(database)
    assert (observation.challenger.errors, observation.challenger.p50) == (3, None)
    assert (observation.champion.requests, observation.champion.errors) == (3, 0)
    assert observation.pairs == 0


def test_status_4xx_is_refused_and_not_an_error(database):
    log(
        database, [row(n, 2, "challenger", status=status) for n, status in enumerate((200, 422, 503, 0, 302))]
    )
    challenger = observed(database).challenger
    assert (challenger.requests, challenger.refused, challenger.errors) == (5, 1, 3)


def test_predictions_are_compared_once_per_request(database):
    log(database, [row(1, 1, "champion", predictions=[0.1]), row(1, 2, "shadow", predictions=[0.4])])
    log(
        database, [row(2, 1, "champion", predictions=[0.5] * 99), row(2, 2, "shadow", predictions=[0.6] * 99)]
    )
    log(database, [row(3, 1, "champion", status=500, predictions=None), row(3, 2, "shadow", predictions=[9])])
    log(database, [row(4, 2, "shadow", predictions=[9])])
    observation = observed(database)
    assert observation.pairs == 2
    assert observation.prediction_shift == pytest.approx((0.3 + 0.1) / 2)
    assert observation.shape_mismatches == 0


def test_predictions_of_another_length_are_a_shape_mismatch(database):
    log(database, [row(1, 1, "champion", predictions=[1, 2]), row(1, 2, "shadow", predictions=[1])])
    observation = observed(database)
    assert (observation.pairs, observation.shape_mismatches) == (0, 1)


def test_prediction_shift_is_a_share_of_the_prediction_range(database):
    log(database, [row(1, 1, "champion", predictions=[100]), row(1, 2, "shadow", predictions=[160])])
    minutes = USE_CASE.model_copy(update={"prediction_range": (0, 1000)})
    assert observed(database, use_case=minutes).prediction_shift == pytest.approx(0.06)


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
    assert (observation.champion.requests, observation.pairs) == (150, 150)
    assert (observation.challenger.requests, observation.challenger.errors) == (200, 0)
    assert verdict(observation).outcome == "promote"


def test_champion_with_enough_traffic_is_observed_in_the_window(database):
    staged(database, BEGIN)
    log(database, [row(n, 1, "champion") for n in range(300)])
    assert observed(database, since=BEGIN + timedelta(seconds=200)).champion.requests == 100


def test_first_model_is_observed_without_a_champion(database):
    log(database, [row(1, 2, "challenger")])
    observation = observed(database, champion=None)
    assert observation.champion is None
    assert observation.challenger.requests == 1


def test_multiclass_shift_is_the_probability_mass_that_moved(database):
    old = [[0.7, 0.2, 0.1], [0.5, 0.5, 0.0]]
    new = [[0.6, 0.3, 0.1], [0.5, 0.2, 0.3]]
    log(database, [row(1, 1, "champion", predictions=old), row(1, 2, "shadow", predictions=new)])
    observation = observed(database)
    assert (observation.pairs, observation.shape_mismatches) == (1, 0)
    assert observation.prediction_shift == pytest.approx((0.1 + 0.3) / 2)


@pytest.mark.parametrize("other", [[[0.5, 0.5]], [0.5], [[0.2, 0.3, 0.5]] * 2])
def test_predictions_of_other_classes_are_a_shape_mismatch(database, other):
    log(
        database,
        [row(1, 1, "champion", predictions=[[0.2, 0.3, 0.5]]), row(1, 2, "shadow", predictions=other)],
    )
    observation = observed(database)
    assert (observation.pairs, observation.shape_mismatches, observation.prediction_shift) == (0, 1, None)
