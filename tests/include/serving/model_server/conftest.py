from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
import uvicorn

from include.catalog import catalog
from include.data.feature_store import client as store
from include.data.feature_store import server
from include.data.lake.delta_tables import Lake
from include.declarations import Column, FeatureView, Online, ViewSource
from include.declarations.relations.feature_selection import FeatureSelection
from tests.conftest import free_ports
from tests.contracts.frames import generate

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY = date(2013, 7, 1)
FLIGHTS = catalog().feature_views["flight_features"]
VIEW = FeatureView(
    name="sights",
    owner="ann",
    description="Facts of a flight.",
    sources=(ViewSource(dataset="seen"),),
    entity="flight_id",
    time="leaves",
    columns=(
        Column(name="flight_id", dtype="string"),
        Column(name="leaves", dtype="timestamp"),
        Column(name="carrier", dtype="string", nullable=True),
        Column(name="hour", dtype="integer"),
        Column(name="temp", dtype="number", nullable=True),
    ),
    online=Online(days=2),
)
USE_CASE = (
    catalog()
    .use_cases["flight_delay"]
    .model_copy(
        update={
            "feature_view": VIEW.name,
            "feature_views": (VIEW.name,),
            "features": ("carrier", "hour", "temp"),
            "gates": (),
            "baseline_by": (),
        }
    )
)
SELECTION = FeatureSelection.of(USE_CASE, {VIEW.name: VIEW}, catalog().datasets)
SEEN = pd.DataFrame(
    {
        "flight_id": ["one", "two", "three"],
        "leaves": pd.to_datetime(["2013-07-01T10:00Z"] * 3).as_unit("us"),
        "carrier": ["UA", "B6", None],
        "hour": [6, 7, 8],
        "temp": [61.1, None, 0.1 + 0.2],
        "seen_known_at": pd.to_datetime(["2013-07-01T00:00Z"] * 3).as_unit("us"),
        "_airworthy_day": str(DAY),
    }
)


@contextmanager
def serving(application: Any, port: int) -> Iterator[str]:
    process = uvicorn.Server(uvicorn.Config(application, port=port, log_level="warning", lifespan="on"))
    thread = threading.Thread(target=process.run, daemon=True)
    thread.start()
    try:
        while not process.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def feature_server(postgres: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of Feast's server, with three flights online."""
    url = postgres.create_database("features")
    lake = Lake(str(tmp_path_factory.mktemp("lake")))
    lake.publish(VIEW.name, SEEN, [DAY], metadata={})
    store.materialise_view(VIEW, lake, url, [DAY])
    lake.publish(
        FLIGHTS.name, generate(FLIGHTS.columns, 5, DAY).assign(_airworthy_day=str(DAY)), [DAY], metadata={}
    )
    store.materialise_view(FLIGHTS, lake, url, [DAY])
    with (
        store.open_store(url) as opened,
        serving(server.feature_server_app(opened), free_ports(1)[0]) as address,
    ):
        store.look_up(opened, VIEW, {"flight_id": ["one"]})
        yield address
