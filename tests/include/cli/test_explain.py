from __future__ import annotations

import datetime

import pandas as pd
import pytest

from include.certificates.certificate import FILE_NAME, Claims, GateEvidence, issue_certificate, model_digest
from include.cli.explain import main
from include.data.lake.delta_tables import Lake
from include.database.tables import desired_state, inference_log
from include.modeling.explainability.shapley import Attribution
from include.settings import settings
from include.use_cases.flight_delay import USE_CASE as FLIGHT_DELAY

NOW = datetime.datetime(2013, 3, 1, tzinfo=datetime.UTC)


@pytest.fixture
def served(registry, database, packaged, keys, flights, tmp_path, monkeypatch):
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
    days = [day.date() for day in pd.to_datetime(rows["day"].unique())]
    lake.publish("flight_features", rows.drop(columns="target"), days, metadata={})
    asked = rows[list(FLIGHT_DELAY.features)].head(1).astype(object)
    inputs = asked.where(asked.notna(), None).to_dict("records")
    with database.begin() as connection:
        connection.execute(desired_state.insert().values(use_case="flight_delay", champion=version))
        connection.execute(
            inference_log.insert().values(
                use_case="flight_delay", request_id="r-1", version=version, role="champion", received_at=NOW,
                latency_ms=1.0, status=200, inputs=inputs, predictions=[0.5],
            )
        )  # fmt: skip
    address = database.url.render_as_string(hide_password=False)
    variables = {"MLFLOW_URI": registry.uri, "DATABASE_URL": address, "LAKE_URI": lake.uri}
    for name, value in (variables | {"HOME": str(keys.parent)}).items():
        monkeypatch.setenv(f"AIRWORTHY_{name}", value)
    monkeypatch.setattr("include.settings.Settings.trusted_keys", keys / "trusted")
    settings.cache_clear()
    yield version, rows["flight_id"].iloc[-1]
    settings.cache_clear()


@pytest.fixture(autouse=True)
def _cheap(monkeypatch):
    """Answer without shap, which is slow to be imported and has tests of its own."""

    def attribute(model, usual, rows):
        return [Attribution(0.25, float(each), {"hour": 0.1}) for each in model.predict(rows)]

    monkeypatch.setattr("include.cli.explain.attribute", attribute)


def test_the_answer_to_a_request_is_explained(served, capsys):
    assert main(["flight_delay", "--request", "r-1"]) == 0
    said = capsys.readouterr().out
    assert f"flight_delay version {served[0]}: 0." in said
    assert "hour     +0.100000" in said


@pytest.mark.parametrize("day", [[], ["--day", "2013-01-02"]])
def test_what_the_champion_says_of_an_entity_is_explained(served, capsys, day):
    assert main(["flight_delay", "--entity", served[1], *day]) == 0
    assert "usually 0.25" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (["--request", "nobody"], "No request nobody to flight_delay"),
        (["--entity", "nobody"], "flight_features has no row of flight_id nobody."),
        (["--entity", "nobody", "--day", "2013-01-01"], "nobody on 2013-01-01"),
        (["--entity", "nobody", "--version", "987654"], "987654"),
    ],
)
def test_what_is_not_there_is_named(served, capsys, asked, says):
    assert main(["flight_delay", *asked]) == 1
    assert says in capsys.readouterr().err


def test_without_a_champion_a_version_is_asked_for(served, database, capsys):
    with database.begin() as connection:
        connection.execute(desired_state.update().values(champion=None))
    assert main(["flight_delay", "--entity", "any"]) == 1
    assert "name a version" in capsys.readouterr().err
