from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pandas as pd
import pytest

from include.catalog import Catalog
from include.data.feature_store.client import look_up, materialise_view, open_store
from include.data.lake.erasure import Entity
from include.data.lake.table_files import archive_table
from include.data.sources.files import Landing
from include.database.ledger import ledger_entries
from include.declarations import Column, Dataset, FeatureView, FileSource, Online, ViewSource
from include.errors import DataError, ServiceUnavailable
from include.governance.erasure import EntityStores, erase_entity, plan_erasure
from include.pseudonyms import pseudonym

KEY = "a key"
ANN = Entity("person", "ann")
VIEW = FeatureView(
    name="person_features",
    owner="ann",
    description="Facts of a person.",
    sources=(ViewSource(dataset="visits"),),
    entity="person",
    time="visited_at",
    columns=(
        Column(name="person", dtype="string", personal=True),
        Column(name="visited_at", dtype="timestamp"),
        Column(name="amount", dtype="number"),
    ),
    online=Online(days=7),
)

VISITS = Dataset(
    name="visits",
    owner="ann",
    description="Visits.",
    source=FileSource(path="visits/{partition}.csv"),
    columns=(Column(name="person", dtype="string", personal=True), Column(name="at", dtype="string")),
    key=("person",),
    first_partition=date(2013, 7, 1),
)


@pytest.fixture
def stores(lake, database):
    return EntityStores(Catalog({}, {VIEW.name: VIEW}, {}), lake, database, KEY)


@pytest.fixture
def features(lake, publish):
    """Publish the features of two people, and a table of visits of which one version was archived."""
    times = pd.to_datetime(["2013-07-01T10:00Z"] * 2)
    columns = {"person": ["ann", "bob"], "visited_at": times, "amount": [1.0, 2.0], "visits_known_at": times}
    publish(VIEW.name, **columns)
    publish("visits", person=["ann"])
    archive_table(lake, "visits", datetime(2013, 7, 2, tzinfo=UTC))
    publish("visits", person=["bob"])


def test_plan_changes_nothing_and_names_what_was_trained(stores, features, serve, lake, registry):
    serve("late", view=VIEW.name, labels="visits", versions=(lake.version(VIEW.name), lake.version("visits")))
    serve("early", view="others", labels="visits", versions=(0, lake.version("visits")))
    plan = plan_erasure(replace(stores, registry=registry), ANN)
    assert [table.table for table in plan.tables] == [VIEW.name, "_archive/20130702T000000/visits"]
    assert plan.snapshots == ("late late-digest as of 2013-07-01",)
    assert plan.models == ("late version 2", "late version 1")
    assert "airworthy.snapshot.digest` = 'late-digest'" in registry.search_versions.call_args.args[1]
    assert plan.online == (VIEW.name,)
    assert "ann" in lake.read(VIEW.name)["person"].tolist()


def test_erased_entity_is_nowhere(stores, features, lake, database, database_url):
    materialise_view(VIEW, lake, database_url)
    plan = plan_erasure(stores, ANN)
    online = erase_entity(stores, ANN, plan, actor="cli:bob", reason="a request")
    assert online[0].keys > 0
    assert plan_erasure(stores, ANN).tables == ()
    assert lake.read(VIEW.name)["person"].tolist() == ["bob"]
    with open_store(database_url) as store:
        assert look_up(store, VIEW, {"person": ["ann", "bob"]})["amount"].tolist()[1] == 2.0
        assert pd.isna(look_up(store, VIEW, {"person": ["ann"]})["amount"][0])
    with database.connect() as connection:
        (entry,) = ledger_entries(connection, "person")
    assert (entry["event"], entry["actor"]) == ("erased", "cli:bob")
    assert entry["evidence"]["digest"] == pseudonym("ann", KEY)
    assert "'ann'" not in str(entry["evidence"])


def test_models_are_unknown_while_mlflow_is_away(stores, features, serve, lake, registry):
    serve("late", view=VIEW.name, labels="visits", versions=(lake.version(VIEW.name), lake.version("visits")))
    registry.search_versions.side_effect = ServiceUnavailable("MLflow is away")
    assert plan_erasure(replace(stores, registry=registry), ANN).models is None


def test_landed_files_with_the_entity_are_named(stores, features, tmp_path):
    (tmp_path / "landing/visits").mkdir(parents=True)
    (tmp_path / "landing/visits/2013-07-01.csv").write_text("person,at\nann,2013-07-01\n")
    landing = Landing(str(tmp_path / "landing"))
    declared = Catalog({"visits": VISITS}, {VIEW.name: VIEW}, {})
    plan = plan_erasure(replace(stores, declared=declared, landing=landing), ANN)
    assert plan.landed == (f"{tmp_path}/landing/visits/2013-07-01.csv",)


def test_unknown_column_is_refused(stores, lake):
    with pytest.raises(DataError, match="No table has a column email"):
        plan_erasure(stores, Entity("email", "ann"))


def test_erasure_without_a_reason_is_refused(stores, features):
    with pytest.raises(DataError, match="--reason"):
        erase_entity(stores, ANN, plan_erasure(stores, ANN), actor="cli:bob", reason=" ")


@pytest.mark.parametrize("value", ["ann", "--5", "٣", "4.0"])
def test_text_erases_no_integer_key(stores, lake, publish, value):
    columns = (VIEW.columns[0].model_copy(update={"dtype": "integer"}), *VIEW.columns[1:])
    view = VIEW.model_copy(update={"columns": columns})
    times = pd.to_datetime(["2013-07-01T10:00Z"])
    publish(view.name, person=[4], visited_at=times, amount=[1.0], visits_known_at=times)
    stores = replace(stores, declared=Catalog({}, {view.name: view}, {}))
    entity = Entity("person", value)
    online = erase_entity(stores, entity, plan_erasure(stores, entity), actor="cli:bob", reason="a request")
    assert [erasure.keys for erasure in online] == [0]
    assert lake.read(view.name)["person"].tolist() == [4]
