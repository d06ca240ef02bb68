"""A model with features of three views: the same rows offline, online, in the log and joined to labels."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import text

from include.catalog import Catalog
from include.data.feature_store import client, server
from include.data.lake.delta_tables import Lake
from include.data.lake.partition_columns import DAY
from include.data.snapshots import snapshot as snapshots
from include.declarations import Column, Dataset, FeatureView, FileSource, Online, ViewSource
from include.declarations.relations.feature_selection import FeatureSelection
from include.inference.model import Interface, ServedModel
from include.monitoring import windows
from include.monitoring.label_quality import join_labels
from include.serving.model_server import online_features
from include.serving.model_server.app import ModelServer
from include.serving.model_server.online_features import OnlineFeatures
from include.use_cases.flight_delay import USE_CASE as FLIGHT_DELAY
from tests.conftest import free_ports
from tests.include.serving.conftest import post_invocation
from tests.include.serving.model_server.conftest import serving
from tests.small_models import home_at

DAYS = [date(2013, 1, day) for day in (1, 2, 3, 4)]
ORDER_DAY = date(2013, 1, 6)
N_ORDERS = 1_000
BIG = 2**53 + 1
CUSTOMERS = [0, -1, BIG, BIG - 1, *range(1, 60)]
SHOPS = ["a:b", 'Köln\'s "x"', " ", "null", *(f"shop {number}" for number in range(20))]
MOMENT = "datetime64[us, UTC]"
TYPES = {"customer": "integer", "shop": "string", "at": "timestamp"}


def view(name, entity, **features):
    """Return a view whose source is a dataset of the same name."""
    keys = (entity,) if isinstance(entity, str) else entity
    columns = [Column(name=key, dtype=TYPES[key]) for key in (*keys, "at")]
    columns += [Column(name=name, dtype=dtype, nullable=True) for name, dtype in features.items()]
    return FeatureView(
        name=name, owner="ann", description=name, sources=(ViewSource(dataset=f"{name}_log"),), entity=entity,
        time="at", columns=tuple(columns), online=Online(days=7),
    )  # fmt: skip


VIEWS = {
    "customers": view("customers", "customer", age="integer", amount="number"),
    "shops": view("shops", "shop", rating="number", amount="number"),
    "visits": view("visits", ("customer", "shop"), count="integer", spent="number"),
}
ORDERS = Dataset(
    name="orders",
    owner="ann",
    description="Orders, and whether they were returned.",
    source=FileSource(path="orders/{partition}.csv"),
    columns=(
        Column(name="customer", dtype="integer"),
        Column(name="shop", dtype="string"),
        Column(name="ordered_at", dtype="timestamp"),
        Column(name="order_id", dtype="integer"),
        Column(name="price", dtype="number"),
        Column(name="returned", dtype="number"),
    ),
    key=("order_id",),
    first_partition=DAYS[0],
)
NAMES = ("age", "customers.amount", "shops.amount", "rating", "count", "visits.spent", "price")
USE_CASE = FLIGHT_DELAY.model_validate(
    FLIGHT_DELAY.model_dump()
    | {
        "name": "returns", "feature_view": "customers", "feature_views": tuple(VIEWS), "features": NAMES,
        "request": ("price",), "gates": FLIGHT_DELAY.gates[:1], "baseline_by": (),
        "label": {"dataset": "orders", "column": "returned", "time": "ordered_at", "above": 0.5},
    }
)  # fmt: skip
DECLARED = Catalog({"orders": ORDERS}, VIEWS, {"returns": USE_CASE})


def feature_rows(view, day, random):
    """Return rows of a random part of the entities, with random nulls."""
    entities = {"customer": CUSTOMERS, "shop": SHOPS}
    keys = pd.MultiIndex.from_product([entities[key] for key in view.keys], names=view.keys)
    rows = keys.to_frame(index=False).sample(frac=0.6, random_state=random)
    at = pd.Timestamp(day, tz="UTC") + pd.to_timedelta(
        random.integers(0, 86_400_000_000, len(rows)), unit="us"
    )
    rows = rows.assign(at=pd.Series(at, index=rows.index).astype(MOMENT))
    for column in view.features:
        values = random.integers(0, 10**6, len(rows))
        numbers = values + 0.1 if column.dtype == "number" else values
        dtype = "float64" if column.dtype == "number" else "Int64"
        rows[column.name] = pd.Series(numbers, rows.index, dtype=dtype).mask(random.random(len(rows)) < 0.1)
    known_at = {source.known_at: rows["at"] for source in view.sources}
    return rows.assign(**known_at, **{DAY: str(day)})


@pytest.fixture
def lake(tmp_path):
    """Return a lake with four days of each view, and 1,000 random orders of a later day."""
    lake = Lake(str(tmp_path / "lake"))
    random = np.random.default_rng(7)
    for name, declared in VIEWS.items():
        for day in DAYS:
            lake.publish(name, feature_rows(declared, day, random), [day], metadata={})
    noon = pd.Timestamp(ORDER_DAY, tz="UTC") + timedelta(hours=12)
    orders = pd.DataFrame(
        {
            "order_id": np.arange(N_ORDERS),
            "customer": pd.Series(random.choice(np.array(CUSTOMERS, dtype=object), N_ORDERS), dtype="int64"),
            "shop": random.choice(np.array(SHOPS, dtype=object), N_ORDERS),
            "ordered_at": pd.Series(noon + pd.to_timedelta(np.arange(N_ORDERS), unit="us")).astype(MOMENT),
            "price": random.random(N_ORDERS),
            "returned": random.integers(0, 2, N_ORDERS).astype("float64"),
            DAY: str(ORDER_DAY),
        }
    )
    lake.publish("orders", orders, [ORDER_DAY], metadata={})
    return lake


@pytest.fixture
def model_server(lake, database_url, tmp_path, monkeypatch):
    """Return a model server whose features are looked up in Feast's server."""
    for declared in VIEWS.values():
        client.materialise_view(declared, lake, database_url)
    monkeypatch.setattr(online_features, "REQUEST_TIMEOUT_S", 30.0)
    with (
        home_at(tmp_path / "home", AIRWORTHY_DATABASE_URL=database_url),
        client.open_store(database_url) as store,
        serving(server.feature_server_app(store), free_ports(1)[0]) as uri,
    ):
        columns = dict.fromkeys(NAMES, "double")
        model = ServedModel(Half(), Interface("returns", "binary", columns, (0, 1)))
        selection = FeatureSelection.of(USE_CASE, VIEWS, DECLARED.datasets)
        yield ModelServer("returns", 1, model, OnlineFeatures(uri, selection))


class Half:
    def predict_proba(self, frame):
        return np.full((len(frame), 2), 0.5)


def test_1000_rows_are_equal_offline_online_and_in_the_log(lake, model_server, database):
    snapshot = snapshots.create(USE_CASE, lake, None, declared=DECLARED)
    offline = snapshots.read_snapshot(USE_CASE, snapshot, lake, declared=DECLARED)
    assert len(offline) == N_ORDERS
    assert offline[list(NAMES)].isna().any().sum() == len(NAMES) - 1  # nulls are among them
    sent = offline[["customer", "shop", "price"]].assign(ordered_at=offline["ordered_at"].map(str))
    body = {"dataframe_records": sent.to_dict("records")}
    response = post_invocation(model_server, {"X-Airworthy-Route": "champion"}, json=body)
    assert response.status_code == 200, response.json()
    with database.begin() as connection:
        (logged,) = connection.execute(text("SELECT inputs FROM inference_log")).scalars()
        # The windows of monitoring end before the present.
        connection.execute(text("UPDATE inference_log SET received_at = received_at - interval '1 minute'"))
    in_log = pd.DataFrame(logged)
    assert in_log["customer"].tolist() == offline["customer"].tolist()
    pd.testing.assert_frame_equal(
        in_log[list(NAMES)].astype("float64"), offline[list(NAMES)].astype("float64"), check_exact=True
    )
    with database.connect() as connection:
        selection = DECLARED.features_of(USE_CASE)
        window = windows.read_newest_window(connection, lake, USE_CASE, selection, end=datetime.now(UTC))
    labels = lake.read("orders", columns=["customer", "shop", "ordered_at", DAY, "returned"])
    joined = join_labels(window.predictions, labels, USE_CASE, keys=("customer", "shop"), time="ordered_at")
    assert joined["_airworthy_landed"].all()
    assert len(joined) == N_ORDERS
    assert joined["_airworthy_target"].sum() == offline["_airworthy_target"].sum() > 0
