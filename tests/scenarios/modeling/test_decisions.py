"""The cheapest decision travels with the package: training, certificate, card, batch and model server."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy import select

from include.catalog import catalog
from include.data.snapshots.target_encoding import encode
from include.database.tables import inference_log
from include.declarations import BusinessValue, ClassCost, DecisionCost, Serving, Split, Threshold, Training
from include.inference.decisions import DecisionRule
from include.modeling.evaluation.costs import best_threshold
from include.modeling.pipeline.workspace import split_snapshot
from include.modeling.registration.model_card import card_markdown
from include.modeling.registry import load_version
from include.serving.model_server.app import ModelServer
from include.settings import settings
from include.specifications import declared_specification
from include.use_cases.delay_band import USE_CASE as DELAY_BAND
from include.use_cases.delay_band import build_model as build_bands
from include.use_cases.flight_delay import USE_CASE as FLIGHT_DELAY
from tests.include.modeling.pipeline.conftest import own, run_pipeline, small
from tests.include.serving.conftest import post_invocation
from tests.scored_frames import score_frame

GATES = (Threshold(metric="roc_auc", minimum=0.55), BusinessValue(severity="warn"))
# A late passenger of a long flight costs more.
PER_MILE = DecisionCost(currency="USD", false_positive=300, false_negative="distance")
SPLIT = Split(validation_days=5, test_days=10, minimum_rows=100)
BANDS = DELAY_BAND.model_copy(
    update={
        "split": SPLIT,
        "training": Training(early_stopping=5),
        "tuning": None,
        "gates": GATES,
        "serving": Serving(decision=True),
        "cost": ClassCost(
            currency="USD",
            costs={
                "on_time": {"late": 10, "very_late": 20},
                "late": {"on_time": 30, "very_late": 10},
                "very_late": {"on_time": 90, "late": 30},
            },
        ),
    }
)


@pytest.fixture(autouse=True)
def _database_settings(database, monkeypatch):
    monkeypatch.setenv("AIRWORTHY_DATABASE_URL", database.url.render_as_string(hide_password=False))
    settings.cache_clear()


@pytest.fixture
def release(new_workspace, new_run, registry, keys, tmp_path):
    """Return a function that runs the pipeline, and returns evidence, verdicts and the loaded version."""

    def run(use_case, frame, estimator):
        def workspace():
            return replace(new_workspace(), use_case=use_case)

        _, evidence, verdicts, version = run_pipeline(
            workspace, frame, new_run(use_case), estimator=estimator
        )
        loaded = load_version.load_version(
            registry, use_case.name, version, folder=tmp_path / "loaded", trusted=keys / "trusted"
        )
        return evidence, {verdict.gate: verdict for verdict in verdicts}, loaded

    return run


@pytest.fixture
def ask(database):
    """Return a function that asks a model server, and checks that it logs the decision that it answers."""

    def send(loaded, frame, features):
        rows = frame[list(features)]
        records = rows.astype(object).where(rows.notna(), None).to_dict("records")
        server = ModelServer(loaded.certificate.use_case, loaded.version, loaded.model)
        headers = {"x-airworthy-route": "champion"}
        response = post_invocation(server, headers, json={"dataframe_records": records})
        assert response.status_code == 200, response.text
        answer = response.json()
        with database.connect() as connection:
            [logged] = connection.scalars(select(inference_log.c.decision))
        assert logged == answer.get("decision")
        return answer

    return send


def test_threshold_of_validation_travels_to_the_answer(release, ask, flights, tmp_path):
    use_case = own(FLIGHT_DELAY, cost=PER_MILE, gates=GATES, serving=Serving(decision=True))
    frame = flights()
    evidence, verdicts, loaded = release(use_case, frame, small())
    threshold = loaded.model.decision.threshold
    splits = split_snapshot(declared_specification(use_case), frame)
    chosen, on_test = [
        best_threshold(
            PER_MILE, rows["_airworthy_target"].to_numpy(dtype=float), loaded.model.predict(rows), rows
        )
        for rows in (splits.validation, splits.test)
    ]
    assert threshold == chosen != on_test

    claim = loaded.certificate.decision
    assert (claim["threshold"], claim["chosen_on"], claim["answered"]) == (threshold, "validation rows", True)
    low, high = claim["test_cost_interval"]
    assert low < claim["test_cost_per_1000_rows"] < high
    assert evidence.costs.threshold == threshold
    assert verdicts["business_value"].outcome in {"pass", "inconclusive"}
    card = card_markdown(tmp_path / "loaded", loaded.certificate, use_case, loaded.version)
    assert f"acting from a probability of {threshold:.3f} on, chosen on validation rows" in card

    answer = ask(loaded, frame.tail(40), use_case.features)
    predictions = np.array(answer["predictions"])
    assert answer["decision"] == (predictions >= threshold).tolist()
    assert set(answer["decision"]) == {True, False}
    assert answer["model"]["threshold"] == threshold
    scored = score_frame(use_case, catalog().spine_of(use_case), loaded.model, frame.tail(40), version=1)
    assert scored["_airworthy_decision"].tolist() == answer["decision"]


def test_class_of_least_cost_travels_to_the_answer(release, ask, flights):
    frame = flights(task="regression")
    rng = np.random.default_rng(1)
    delay = (
        (frame["hour"] - 14) * 6 + (frame["wind_speed"].fillna(10) - 10) * 8 + rng.normal(0, 15, len(frame))
    )
    frame = frame.assign(_airworthy_target=encode(BANDS.label, delay).astype("int64"))
    evidence, verdicts, loaded = release(BANDS, frame, build_bands(minimum_rows=20))
    assert loaded.model.decision == DecisionRule(costs=((0, 10, 20), (30, 0, 10), (90, 30, 0)))
    assert loaded.certificate.decision["expected_costs"]["late"] == {
        "on_time": 30,
        "late": 0,
        "very_late": 10,
    }
    assert verdicts["business_value"].outcome == "pass", verdicts["business_value"].reason
    assert evidence.costs.model_lower < evidence.costs.model < evidence.costs.model_upper

    answer = ask(loaded, frame.tail(60), BANDS.features)
    most_probable = np.array(BANDS.label.classes)[np.argmax(answer["predictions"], axis=1)]
    assert set(answer["decision"]) <= set(BANDS.label.classes)
    assert answer["decision"] != most_probable.tolist()
    scored = score_frame(BANDS, catalog().spine_of(BANDS), loaded.model, frame.tail(60), version=1)
    assert scored["_airworthy_decision"].tolist() == answer["decision"]
    assert scored["_airworthy_prediction"].tolist() == most_probable.tolist()


def test_without_the_declaration_nothing_is_decided(release, ask, flights):
    use_case = own(FLIGHT_DELAY, gates=GATES)
    frame = flights()
    _, _, loaded = release(use_case, frame, small())
    assert loaded.model.decision is None
    # The threshold of the cost comparison stands on the certificate all the same.
    assert loaded.certificate.decision["answered"] is False
    assert "decision" not in ask(loaded, frame.tail(2), use_case.features)
