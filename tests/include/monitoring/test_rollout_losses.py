"""Losses of a rollout by the labels that have landed, from a lake and PostgreSQL."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from include.data.lake.delta_tables import Lake
from include.database.tables import inference_log
from include.errors import DataError
from include.monitoring import rollout_losses
from include.monitoring.rollout_losses import IS_COPY, LOSS, ROW, compute_losses, pair_losses, read_losses
from include.monitoring.windows import AT
from include.release import rollout
from include.release.analysis import Losses
from include.release.rollout_status import database_time
from include.use_cases.air_time import USE_CASE as AIR_TIME
from include.use_cases.delay_band import USE_CASE as DELAY_BAND
from include.use_cases.flight_delay import USE_CASE as FLIGHT_DELAY
from tests.access_rows import gateway_id

DAY = date(2013, 7, 1)


@pytest.mark.parametrize(
    ("use_case", "predictions", "target", "losses"),
    [
        (FLIGHT_DELAY, [0.5, 0.9, 0.0], [1.0, 1.0, 1.0], [0.25, 0.01, 1.0]),
        (DELAY_BAND, [[1.0, 0.0, 0.0], [0.0, 0.5, 0.5]], [0, 0], [0.0, 0.75]),
        (AIR_TIME, [100.0, 90_000.0], [90.0, 90.0], [10 / np.ptp(AIR_TIME.prediction_range), 1.0]),
    ],
    ids=["binary", "multiclass", "regression"],
)
def test_loss_is_between_0_and_1(use_case, predictions, target, losses):
    computed = compute_losses(use_case, np.array(predictions), np.array(target))
    assert computed == pytest.approx(losses)


def responses(copies=(), **losses):
    """Return losses of rows, one a second, with the time in seconds before the underscore of their name."""
    rows = [name.split("_") for name in losses]
    moments = pd.to_datetime([int(second[1:]) for second, _ in rows], unit="s", utc=True)
    names = [name for _, name in rows]
    values = {ROW: names, AT: moments, LOSS: list(losses.values())}
    return pd.DataFrame(values | {IS_COPY: [name in copies for name in names]})


def test_losses_of_one_request_are_a_pair_and_others_by_time():
    champion = responses(t1_a=0.1, t2_b=0.2, t3_c=0.3, t8_d=0.4)
    challenger = responses(t0_w=0.5, t3_c=0.8, t4_x=0.6, t9_y=0.9, t10_z=0.7)
    # One before all of the champion's has no pair, and no prediction counts twice.
    assert pair_losses(champion, challenger) == Losses((0.3, 0.2, 0.4), (0.8, 0.6, 0.9))
    assert pair_losses(champion.head(0), challenger) is None
    assert pair_losses(champion, challenger.head(0)) is None


def test_copy_without_its_original_has_no_pair():
    champion = responses(t1_a=0.1)
    assert pair_losses(champion, responses(copies="x", t2_x=0.9)) is None
    assert pair_losses(champion, responses(t2_x=0.9)) == Losses((0.1,), (0.9,))


@pytest.fixture
def lake(tmp_path):
    return Lake(str(tmp_path))


@pytest.fixture
def rolled_out(database):
    """Begin the rollout of version 2 over version 1."""
    first = rollout.begin(database, FLIGHT_DELAY.name, 1, owner="first", actor="ann")
    rollout.promote(database, first, reason="the first", evidence={})
    rollout.begin(database, FLIGHT_DELAY.name, 2, owner="second", actor="ann")


def publish(lake, delays):
    rows = pd.DataFrame({"flight_id": list(delays), "arr_delay": [float(delay) for delay in delays.values()]})
    lake.publish("arrivals", rows.assign(_airworthy_day=DAY), [DAY], metadata={})


def predict(database, version, role, **predictions):
    records = [
        {
            "use_case": FLIGHT_DELAY.name, "request_id": flight, "version": version, "role": role,
            "received_at": database_time(database), "latency_ms": 4.0, "status": 200,
            "inputs": [{"flight_id": flight, "scheduled_departure": "2013-07-01T10:00:00Z"}],
            "predictions": [value],
        }
        for flight, value in predictions.items()
    ]  # fmt: skip
    with database.begin() as connection:
        rows = [record | {"gateway_id": gateway_id(record)} for record in records]
        connection.execute(inference_log.insert(), rows)


def losses(database, lake):
    with database.connect() as connection:
        return read_losses(connection, lake, FLIGHT_DELAY, 2)


def test_copies_are_paired_with_their_originals(database, lake, rolled_out):
    assert losses(database, lake) is None
    publish(lake, {"late": 90, "early": -5, "unknown": 3})
    assert losses(database, lake) is None
    predict(database, 1, "champion", late=0.9, early=0.1, unlabelled=0.5)
    predict(database, 2, "shadow", early=0.5, late=0.5, unlabelled=0.5)
    read = losses(database, lake)
    assert sorted(read.champion) == pytest.approx([0.01, 0.01])
    assert read.challenger == pytest.approx((0.25, 0.25))


def test_requests_of_a_canary_are_paired_by_time(database, lake, rolled_out):
    publish(lake, {"late": 90, "early": -5})
    predict(database, 1, "champion", late=0.9)
    predict(database, 2, "challenger", early=0.5)
    assert losses(database, lake) == Losses((pytest.approx(0.01),), (0.25,))


def test_earlier_requests_of_the_champion_are_not_paired(database, lake, rolled_out, monkeypatch):
    publish(lake, {"late": 90, "early": -5, "later": 90})
    monkeypatch.setattr(rollout_losses, "MAX_REQUESTS", 2)
    # More than are read, before the challenger gets any.
    for _ in range(5):
        predict(database, 1, "champion", late=0.9)
    predict(database, 1, "champion", early=0.5)
    predict(database, 2, "shadow", early=0.3)
    predict(database, 1, "champion", later=0.5)
    predict(database, 2, "challenger", late=0.1)
    read = losses(database, lake)
    assert read == Losses(pytest.approx((0.25, 0.25)), pytest.approx((0.09, 0.81)))


def test_ambiguous_labels_are_an_error(database, lake, rolled_out):
    rows = pd.DataFrame({"flight_id": ["late", "late"], "arr_delay": [1.0, 90.0], "_airworthy_day": DAY})
    lake.publish("arrivals", rows, [DAY], metadata={})
    predict(database, 1, "champion", late=0.9)
    predict(database, 2, "shadow", late=0.9)
    with pytest.raises(DataError, match="several labels"):
        losses(database, lake)
