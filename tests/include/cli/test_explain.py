from __future__ import annotations

import datetime

import pandas as pd
import pytest

from include.certificates.certificate import FILE_NAME, Claims, GateEvidence, issue_certificate, model_digest
from include.data.lake.delta_tables import Lake
from include.data.lake.partition_columns import with_partition_columns
from include.database.tables import desired_state, inference_log
from include.inference.shapley import Attribution
from include.use_cases.flight_delay import REPORTS
from include.use_cases.flight_delay import USE_CASE as FLIGHT_DELAY
from tests.personal_columns import declare_personal

NOW = datetime.datetime(2013, 3, 1, tzinfo=datetime.UTC)


@pytest.fixture
def served(registry, database, packaged, keys, flights, tmp_path, set_settings):
    """Return the champion of `flight_delay`, with a lake of features and an answered request `r-1`."""
    passed = GateEvidence(gate="threshold", outcome="pass", severity="block", reason="good", figures={})
    claims = Claims(
        use_case="flight_delay", snapshot={}, code_version="c", lock_hash="l", run_id="r", metrics={},
        gates=(passed,), environment={},
    )  # fmt: skip
    (packaged / FILE_NAME).write_bytes(issue_certificate(packaged, claims, key_path=keys / "signing.pem"))
    tags = {"airworthy.dag": "d", "airworthy.run": tmp_path.name, "airworthy.partition": ""}
    run = registry.run_for("flight_delay", tags)
    logged = registry.log_model(run, packaged, digest=model_digest(packaged), tags={})
    registry.add_certificate(logged.model_id, packaged)
    version = registry.register("flight_delay", run, logged, {})
    rows = flights(days=2)
    lake = Lake(str(tmp_path / "lake"))
    days = [day.date() for day in pd.to_datetime(rows["_airworthy_day"].unique())]
    lake.publish("flight_features", rows.drop(columns="_airworthy_target"), days, metadata={})
    hour = datetime.datetime(2013, 1, 1, tzinfo=datetime.UTC)
    reports = rows.loc[:0, ["station", *REPORTS]].assign(online_from=pd.Timestamp(hour))
    lake.publish("airport_weather", with_partition_columns(reports, hour), [hour], metadata={})
    features = rows[list(FLIGHT_DELAY.features)].head(1).astype(object)
    inputs = features.where(features.notna(), None).to_dict("records")
    with database.begin() as connection:
        connection.execute(desired_state.insert().values(use_case="flight_delay", champion=version))
        connection.execute(
            inference_log.insert().values(
                use_case="flight_delay", request_id="r-1", version=version, role="champion", received_at=NOW,
                latency_ms=1.0, status=200, inputs=inputs, predictions=[0.5],
            )
        )  # fmt: skip
    address = database.url.render_as_string(hide_password=False)
    set_settings(mlflow_uri=registry.uri, database_url=address, lake_uri=lake.uri, home=keys.parent)
    return version, rows["flight_id"].iloc[-1]


@pytest.fixture(autouse=True)
def _environment(monkeypatch, keys):
    """Trust the test's keys, and answer without shap, which is slow to import and has tests of its own."""
    monkeypatch.setattr("include.settings.Settings.trusted_keys", keys / "trusted")

    def attribute(model, background, rows):
        return [Attribution(0.25, float(value), {"hour": 0.1}) for value in model.predict(rows)]

    monkeypatch.setattr("include.inference.shapley.attribute", attribute)


def test_answer_to_a_request_is_explained(served, airworthy):
    result = airworthy("explain", "flight_delay", "--request", "r-1")
    assert result.code == 0
    assert f"flight_delay version {served[0]}: 0." in result.out
    assert "hour     +0.100000" in result.out


def test_explanation_as_json_has_version_and_contributions(served, airworthy):
    value = airworthy("explain", "flight_delay", "--request", "r-1", "--json").value
    assert (value["use_case"], value["version"]) == ("flight_delay", served[0])
    assert [(row["base"], row["contributions"]) for row in value["rows"]] == [(0.25, {"hour": 0.1})]


@pytest.mark.parametrize("day", [[], ["--day", "2013-01-02"]])
def test_prediction_of_the_champion_for_an_entity_is_explained(served, airworthy, day):
    result = airworthy("explain", "flight_delay", "--entity", served[1], *day)
    assert result.code == 0
    assert "usually 0.25" in result.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--request", "unknown"], "No request unknown to flight_delay"),
        (["--entity", "unknown"], "flight_features has no row of flight_id unknown."),
        (["--entity", "unknown", "--day", "2013-01-01"], "unknown on 2013-01-01"),
        (["--entity", "unknown", "--version", "987654"], "987654"),
    ],
)
def test_missing_request_row_or_version_is_named(served, airworthy, arguments, message):
    result = airworthy("explain", "flight_delay", *arguments)
    assert result.code == 1
    assert message in result.err


def test_use_case_without_a_champion_needs_a_version(served, database, airworthy):
    with database.begin() as connection:
        connection.execute(desired_state.update().values(champion=None))
    result = airworthy("explain", "flight_delay", "--entity", "any")
    assert result.code == 1
    assert "name a version" in result.err


def test_request_with_personal_features_cannot_be_explained(served, airworthy, monkeypatch):
    declared = declare_personal("carrier")
    monkeypatch.setattr("include.specifications.catalog", lambda: declared)
    result = airworthy("explain", "flight_delay", "--request", "r-1")
    assert result.code == 1
    assert "carrier are personal" in result.err
    assert "--entity" in result.err
