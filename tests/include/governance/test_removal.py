from __future__ import annotations

import pytest

from include.catalog import catalog
from include.data.lake.table_files import list_archives, list_tables
from include.database.ledger import ledger_entries
from include.errors import ConflictError, DataError, ReleaseError
from include.governance import removal
from include.governance.removal import Authorisation
from include.release import rollout

ALLOWED = Authorisation("cli:ann", "a wrong type")
FORCED = Authorisation("cli:ann", "a wrong type", force=True)


@pytest.fixture
def plan_table(database, lake):
    def run(name, kind="dataset"):
        with database.connect() as connection:
            return removal.plan_table_removal(connection, lake, catalog(), kind, name)

    return run


@pytest.fixture
def plan_model(database, registry, lake):
    def run(name):
        with database.connect() as connection:
            return removal.plan_retirement(connection, registry, lake, catalog(), name)

    return run


def entries(database, name):
    with database.connect() as connection:
        return ledger_entries(connection, name)


def test_dropped_dataset_is_archived_with_a_ledger_entry(database, lake, publish, plan_table):
    publish("planes", id=["a"])
    publish("planes_quarantine", id=["b"])
    paths = removal.drop_tables(database, lake, plan_table("planes"), ALLOWED)
    assert list_tables(lake) == []
    assert [list_tables(archive) for archive in list_archives(lake)] == [["planes", "planes_quarantine"]]
    assert paths["planes"].endswith("/planes")
    (entry,) = entries(database, "planes")
    assert (entry["event"], entry["actor"]) == ("dropped", "cli:ann")
    assert "a wrong type" in entry["reason"]
    publish("planes", id=[1])
    assert lake.read("planes")["id"].tolist() == [1]


def test_deleted_dataset_leaves_no_archive(database, lake, publish, plan_table):
    publish("planes", id=["a"])
    allowed = Authorisation("cli:ann", "a wrong type", delete=True)
    assert removal.drop_tables(database, lake, plan_table("planes"), allowed) == {"planes": ""}
    assert list_archives(lake) == []


def test_needed_dataset_is_dropped_only_by_force(database, lake, publish, plan_table):
    publish("weather", origin=["JFK"])
    plan = plan_table("weather")
    with pytest.raises(ConflictError, match="feature view flight_features"):
        removal.drop_tables(database, lake, plan, ALLOWED)
    assert (list_tables(lake), entries(database, "weather")) == (["weather"], [])
    removal.drop_tables(database, lake, plan, FORCED)
    assert list_tables(lake) == []
    assert entries(database, "weather")[0]["evidence"]["forced"]


def test_dropped_view_leaves_the_online_store(database, lake, publish, plan_table):
    publish("plane_features", plane=["a"])
    removal.drop_tables(database, lake, plan_table("plane_features", "feature view"), ALLOWED)
    assert list_tables(lake) == []


def test_missing_or_other_table_is_refused(publish, plan_table):
    with pytest.raises(DataError, match="There is no table planes"):
        plan_table("planes")
    publish("flight_features", flight_id=["a"])
    with pytest.raises(DataError, match="airworthy features drop flight_features"):
        plan_table("flight_features")


def test_drop_without_a_reason_is_refused(database, lake, publish, plan_table):
    publish("planes", id=["a"])
    with pytest.raises(DataError, match="--reason"):
        removal.drop_tables(database, lake, plan_table("planes"), Authorisation("cli:ann", " "))


def test_undeclared_model_is_retired(database, registry, serve, plan_model):
    serve("oops_model")
    plan = plan_model("oops_model")
    assert (plan.champion, plan.versions, plan.declared) == (3, 2, False)
    removal.retire_model(database, registry, plan, ALLOWED)
    with database.connect() as connection:
        assert rollout.read_state(connection, "oops_model").retired
    registry.set_aliases.assert_called_once_with("oops_model", champion=None, challenger=None, previous=None)
    assert entries(database, "oops_model")[0]["event"] == "retired"


def test_model_in_a_rollout_is_retired_only_by_force(database, registry, plan_model):
    rollout.begin(database, "late", 4, owner="late_deployment/1", actor="ann")
    plan = plan_model("late")
    with pytest.raises(ConflictError, match="being rolled out"):
        removal.retire_model(database, registry, plan, ALLOWED)
    removal.retire_model(database, registry, plan, FORCED)
    repeated = plan_model("late")
    assert (repeated.retired, repeated.dependents) == (True, ())


def test_unknown_model_is_refused(registry, plan_model):
    registry.search_versions.return_value = []
    with pytest.raises(ReleaseError, match="There is no model nothing"):
        plan_model("nothing")
