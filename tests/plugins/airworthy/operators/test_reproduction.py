"""Reproduction of a certified version, with the same and with changed inputs."""

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
from include.modeling.pipeline import input_changes
from include.modeling.pipeline import reproduce as reproduction


@pytest.fixture
def reproduce(flown, database, registry, certified, context):
    """Return a function that reproduces a version; its attributes hold the last result and operator."""

    def reproduce(version=1):
        run = context({"triggering_user_name": "ann"})
        operator = ReproduceModelOperator(task_id="reproduce", use_case=certified.name, version=f"{version}")
        try:
            operator.execute(run)
        finally:
            reproduce.result = run["ti"].pushed.get("reproduction")
            reproduce.operator = operator
        return reproduce.result

    return reproduce


def changed_inputs(result):
    return {change["what"] for change in result["changes"]} - {"code, perhaps"}


def versions_of(registry, name):
    return [version.version for version in registry._client.search_model_versions(f"name = '{name}'")]


def aliases_of(registry, name):
    return registry._client.get_registered_model(name).aliases


def test_a_version_is_reproduced_byte_by_byte(reproduce, registry, certified, database, tmp_path):
    before = versions_of(registry, certified.name)
    aliases = aliases_of(registry, certified.name)
    result = reproduce()
    assert (result["outcome"], result["reproduced_digest"]) == ("identical", result["digest"])
    assert result["golden"] == {"rows": 50, "differing": 0, "largest": 0.0}
    assert result["test"] == {"rows": 160, "differing": 0, "largest": 0.0}
    assert (changed_inputs(result), result["files"]) == (set(), [])
    assert versions_of(registry, certified.name) == before
    assert aliases_of(registry, certified.name) == aliases
    page = registry.read_file(result["run_id"], reproduction.MARKDOWN)
    assert b"**Identical**" in page
    assert json.loads(registry.read_file(result["run_id"], reproduction.JSON)) == result
    tag = registry.tags_of(certified.name, 1)["airworthy.reproduction"]
    assert tag.startswith(f"identical: {certified.name} version 1")
    with database.connect() as connection:
        (entry,) = ledger.ledger_entries(connection, certified.name)
    assert (entry["event"], entry["actor"], entry["version"]) == ("reproduced", "ann", 1)
    assert entry["evidence"]["outcome"] == "identical"
    assert MlflowRunLink().get_link(reproduce.operator, ti_key=None).endswith(f"/runs/{result['run_id']}")


def test_a_retry_is_recorded_in_the_ledger_once(reproduce, certified, database):
    reproduce()
    reproduce()
    with database.connect() as connection:
        assert len(ledger.ledger_entries(connection, certified.name)) == 1


def test_different_predictions_of_changed_code_are_reported(reproduce, certified, monkeypatch, database):
    def build_model():
        return make_pipeline(
            make_column_transformer((StandardScaler(), ["hour"])), LogisticRegression(C=0.01)
        )

    monkeypatch.setattr(sys.modules[f"include.use_cases.{certified.name}"], "build_model", build_model)
    monkeypatch.setattr(input_changes, "code_version", lambda: "c0de")
    with pytest.raises(NotReproduced, match=r"160 of 160 test rows \(100.0%\) differ, by up to 0\.\d+.*code"):
        reproduce()
    result = reproduce.result
    assert result["outcome"] == "different"
    assert "code" in changed_inputs(result)
    assert result["test"]["largest"] > 0.01
    assert result["files"]
    with database.connect() as connection:
        assert ledger.ledger_entries(connection, certified.name)[0]["evidence"]["outcome"] == "different"


def test_changed_packages_are_named_without_a_difference(reproduce, certified, declare, monkeypatch):
    # The seed that was declared since is not used: the certificate names its own.
    declare(certified.model_copy(update={"training": Training(seed=7)}))
    installed = input_changes.present_version
    monkeypatch.setattr(input_changes, "lock_hash", lambda: "another")
    monkeypatch.setattr(
        input_changes, "present_version", lambda name: "99" if name == "numpy" else installed(name)
    )
    result = reproduce()
    assert (result["outcome"], changed_inputs(result)) == (
        "identical",
        {"lock", "numpy", "declared training"},
    )


def test_changed_rows_are_named_and_not_trained_on(reproduce, flown):
    shutil.rmtree(Path(flown.uri) / "arrivals")
    rows = flown.read("flight_features")
    late = rows[["flight_id", "_airworthy_day"]].assign(arr_delay=60.0)
    days = [date.fromisoformat(day) for day in rows["_airworthy_day"].unique()]
    for day in (days, days[:1]):
        flown.publish(
            "arrivals", late[late["_airworthy_day"].isin([f"{item}" for item in day])], day, metadata={}
        )
    with pytest.raises(NotReproduced, match=r"the rows of the snapshot .* have changed"):
        reproduce()
    assert (reproduce.result["outcome"], reproduce.result["test"]) == ("impossible", None)


def test_a_missing_version_is_named_in_the_error(reproduce, certified):
    with pytest.raises(ReleaseError, match=f"{certified.name} version 77"):
        reproduce(77)
