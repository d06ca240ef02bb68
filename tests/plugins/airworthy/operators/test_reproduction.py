"""A certified version is made again, on the same lock and after each thing that can change."""

from __future__ import annotations

import json
import shutil
import sys
from datetime import date
from pathlib import Path

import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from airworthy.links import MlflowRunLink
from airworthy.operators.reproduction import ReproduceModelOperator
from include.database import ledger
from include.declarations import Training
from include.errors import NotReproduced, ReleaseError
from include.modeling.pipeline import reproduce as reproduction
from include.modeling.registry import provenance


@pytest.fixture
def again(flown, database, registry, certified, context):
    """Return a way to make version 1 again, and the task of the last time."""

    def reproduce(version=1):
        run = context({"triggering_user_name": "ann"})
        operator = ReproduceModelOperator(task_id="reproduce", use_case=certified.name, version=f"{version}")
        try:
            operator.execute(run)
        finally:
            reproduce.found = run["ti"].pushed.get("reproduction")
            reproduce.operator = operator
        return reproduce.found

    return reproduce


def changed(found):
    return {change["what"] for change in found["changes"]} - {"code, perhaps"}


def versions_of(registry, name):
    return [version.version for version in registry._client.search_model_versions(f"name = '{name}'")]


def aliases_of(registry, name):
    return registry._client.get_registered_model(name).aliases


def test_on_the_same_lock_it_is_the_same_byte_by_byte(again, registry, certified, database, tmp_path):
    before, aliases = versions_of(registry, certified.name), aliases_of(registry, certified.name)
    found = again()
    assert (found["outcome"], found["found"]) == ("identical", found["digest"])
    assert found["golden"] == {"rows": 50, "differing": 0, "largest": 0.0}
    assert found["test"] == {"rows": 160, "differing": 0, "largest": 0.0}
    assert (changed(found), found["files"]) == (set(), [])
    assert versions_of(registry, certified.name) == before
    assert aliases_of(registry, certified.name) == aliases
    page = registry.fetch_file(found["run_id"], reproduction.PAGE, tmp_path)
    assert "**Identical**" in page.read_text()
    assert json.loads(registry.fetch_file(found["run_id"], reproduction.FILE, tmp_path).read_text()) == found
    tag = registry.tags_of(certified.name, 1)["airworthy.reproduction"]
    assert tag.startswith(f"identical: {certified.name} version 1")
    with database.connect() as connection:
        (entry,) = ledger.ledger_entries(connection, certified.name)
    assert (entry["event"], entry["actor"], entry["version"]) == ("reproduced", "ann", 1)
    assert entry["evidence"]["outcome"] == "identical"
    assert MlflowRunLink().get_link(again.operator, ti_key=None).endswith(f"/runs/{found['run_id']}")


def test_tried_again_it_stands_in_the_ledger_once(again, certified, database):
    again()
    again()
    with database.connect() as connection:
        assert len(ledger.ledger_entries(connection, certified.name)) == 1


def test_other_code_that_answers_otherwise_is_shown_with_the_rows_and_the_gap(
    again, certified, monkeypatch, database
):
    def build_model():
        return make_pipeline(
            make_column_transformer((StandardScaler(), ["hour"])), LogisticRegression(C=0.01)
        )

    monkeypatch.setattr(sys.modules[f"include.use_cases.{certified.name}"], "build_model", build_model)
    monkeypatch.setattr(reproduction, "code_version", lambda: "c0de")
    with pytest.raises(NotReproduced, match=r"160 of 160 test rows \(100.0%\) differ, by up to 0\.\d+.*code"):
        again()
    found = again.found
    assert found["outcome"] == "different"
    assert "code" in changed(found)
    assert found["test"]["largest"] > 0.01
    assert found["files"]
    with database.connect() as connection:
        assert ledger.ledger_entries(connection, certified.name)[0]["evidence"]["outcome"] == "different"


def test_another_lock_and_other_packages_are_named_though_nothing_differs(
    again, certified, declare, monkeypatch
):
    declare(
        certified.model_copy(update={"training": Training(seed=7)})
    )  # since; the certificate names its own
    installed = reproduction.version_of
    monkeypatch.setattr(reproduction, "lock_hash", lambda: "another")
    monkeypatch.setattr(reproduction, "version_of", lambda name: "99" if name == "numpy" else installed(name))
    found = again()
    assert (found["outcome"], changed(found)) == ("identical", {"lock", "numpy"})


def test_other_rows_are_named_and_nothing_is_made_of_them(again, flown):
    shutil.rmtree(Path(flown.uri) / "arrivals")
    rows = flown.read("flight_features")
    late = rows[["flight_id", "day"]].assign(arr_delay=60.0)
    days = [date.fromisoformat(day) for day in rows["day"].unique()]
    for day in (days, days[:1]):
        flown.publish("arrivals", late[late["day"].isin([f"{one}" for one in day])], day, metadata={})
    with pytest.raises(NotReproduced, match="are not those that were taken"):
        again()
    assert (again.found["outcome"], again.found["test"]) == ("impossible", None)


def test_code_that_was_not_committed_is_never_taken_for_the_same(certified, monkeypatch, registry):
    for version, said in (("abc-dirty", True), ("unknown", True), ("abc", False)):
        monkeypatch.setattr(reproduction, "code_version", lambda version=version: version)
        about = type(
            "About", (), {"code_version": version, "lock_hash": provenance.lock_hash(), "environment": {}}
        )
        assert bool(reproduction.input_changes(about)) is said


def test_a_version_that_is_not_there_is_named(again, certified):
    with pytest.raises(ReleaseError, match=f"{certified.name} version 77"):
        again(77)
