"""The champion of `air_time` with its lake, landed labels and logged requests."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pytest

from include.annotation.corrections import Stores
from include.annotation.landed_labels import LandingFolder
from include.certificates.certificate import Certificate
from include.data.lake.delta_tables import Lake
from include.data.snapshots import snapshot as snapshots
from include.database.tables import inference_log
from include.monitoring import champion_check
from include.release import rollout, rollout_status
from include.use_cases.air_time import USE_CASE
from tests.made_flights import make_flights

DAYS = [date(2013, 1, 1) + timedelta(days=number) for number in range(5)]
# Its labels have not landed.
NEXT = date(2013, 1, 6)


@pytest.fixture
def unlabelled():
    """Return the flights of `NEXT`."""
    return make_flights([NEXT])


@pytest.fixture
def lake(tmp_path):
    lake = Lake(str(tmp_path / "lake"))
    rows = make_flights(DAYS)
    lake.publish("flight_features", make_flights([*DAYS, NEXT]), [*DAYS, NEXT], metadata={})
    labels = rows[["flight_id", "_airworthy_day"]].assign(air_time=rows["distance"] / 8)
    lake.publish("arrivals", labels, DAYS, metadata={})
    return lake


@pytest.fixture
def champion(lake, database):
    lease = rollout.begin(database, USE_CASE.name, 1, owner="earlier", actor="ann")
    state = rollout.promote(database, lease, reason="the first", evidence={})
    snapshot = snapshots.create(USE_CASE, lake, None)
    certificate = Certificate.model_construct(snapshot=json.loads(snapshot.to_json()))
    return champion_check.champion_context(USE_CASE, state, certificate, lake)


@pytest.fixture
def serve(database):
    """Return a function that logs requests of an hour ago for some flights."""

    def log(rows, **changes):
        moment = rollout_status.database_time(database) - timedelta(hours=1)
        records = json.loads(rows[list(USE_CASE.features)].to_json(orient="records"))
        logged = []
        for number, record in enumerate(records):
            flight = rows["flight_id"].iloc[number]
            logged.append(
                {
                    "use_case": USE_CASE.name, "request_id": f"request-{flight}", "entity_id": flight,
                    "version": 1, "role": "champion", "received_at": moment, "latency_ms": 4.0,
                    "status": 200, "inputs": [record], "predictions": [record["distance"] / 8],
                } | changes
            )  # fmt: skip
        with database.begin() as connection:
            connection.execute(inference_log.insert(), logged)

    return log


@pytest.fixture
def landing(tmp_path):
    return LandingFolder(str(tmp_path / "landing"))


@pytest.fixture
def stores(database, lake, landing):
    return Stores(database, lake, landing, "key")
