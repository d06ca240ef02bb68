from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from include.certificates.certificate import Certificate, GateEvidence
from include.declarations import Split
from include.modeling.evaluation.evidence import Evidence, Measurement
from include.modeling.registration.model_card import (
    MAX_ITEMS,
    card_markdown,
    card_summary,
    write_model_card,
)
from include.use_cases.flight_delay import USE_CASE
from tests.include.declarations.test_risk import risk

CALIBRATION = GateEvidence(
    gate="calibration",
    outcome="fail",
    severity="warn",
    reason="too sure | of <b>itself</b>",
    figures={"error": 0.2},
)

CERTIFICATE = Certificate(
    use_case="flight_delay",
    snapshot={"digest": "d1e5", "days": "2013-01-01..2013-02-20"},
    label="arrivals.arr_delay above 15",
    classes=("at most 15", "above 15"),
    split="split at random by customer_id, seed 0: 15% validation, 20% test",
    code_version="c0de",
    lock_hash="10c4",
    run_id="run7",
    metrics={"log_loss": 0.5},
    gates=(CALIBRATION,),
    environment={"python": "3.11", "numpy": "2"},
    model_digest="0" * 64,
    files={},
    issued_at=datetime(2013, 3, 1, tzinfo=UTC),
    key_id="0" * 16,
)
ITEMS = tuple({"carrier": f"C{number}", "rows": 120} for number in range(MAX_ITEMS + 2))
EVIDENCE = Evidence(
    metrics={"train": {"log_loss": 0.4}, "test": {"log_loss": 0.5}},
    rows={"train": 2000, "test": 400},
    overlap=0,
    prediction_range=(0.1, 0.9),
    measurements={"fairness by carrier": Measurement(items=ITEMS)},
)


@pytest.fixture
def model(tmp_path):
    """Return a model folder with evidence and feature importance."""
    evidence = tmp_path / "model" / "evidence"
    evidence.mkdir(parents=True)
    (evidence / "evidence.json").write_text(EVIDENCE.model_dump_json())
    importance = [{"feature": "wind_speed", "worse": 0.123, "deviation": 0.01}]
    (evidence / "explanations.json").write_text(json.dumps({"rows": 400, "importance": importance}))
    return tmp_path / "model"


def test_a_card_contains_certificate_and_evidence(model):
    card = card_markdown(model, CERTIFICATE, USE_CASE, 3)
    for part in (
        "# flight_delay version 3\n",
        "| code | c0de |",
        "| split | split at random by customer_id, seed 0: 15% validation, 20% test |",
        "| task | binary of arrivals.arr_delay above 15 |",
        "| classes | at most 15, above 15 |",
        "| days | 2013-01-01..2013-02-20 |",
        "| wind_speed | 0.123 | 0.01 |",
        "- calibration did not pass (warn, fail): too sure \\| of",
        "No gate needed an approval.",
        "Environment: python 3.11, numpy 2.",
        "airworthy certificate verify models:/flight_delay/3\n",
    ):
        assert part in card, part


def test_a_card_of_undated_rows_speaks_of_no_days(model):
    undated = USE_CASE.model_copy(update={"split": Split(by="entity")})
    certificate = CERTIFICATE.model_copy(update={"snapshot": {"days": ["2026-01-05", "2026-01-05"]}})
    card = card_markdown(model, certificate, undated, 3)
    assert "| landed | 2026-01-05 |" in card
    assert "as it landed; its rows have no time" in card
    assert "| days |" not in card
    assert "of the days above" not in card


def test_a_long_table_is_cut_and_counts_the_hidden_rows(model):
    card = card_markdown(model, CERTIFICATE, USE_CASE, 3)
    assert f"| C{MAX_ITEMS - 1} | 120 |" in card
    assert f"| C{MAX_ITEMS} | 120 |" not in card
    assert "… and 2 more, in the evidence." in card


def test_a_card_without_evidence_has_no_tables_of_it(tmp_path):
    card = card_markdown(tmp_path, CERTIFICATE, USE_CASE, 3)
    assert "## Slices" not in card
    assert "## Feature importance" not in card


def test_a_html_card_escapes_data_and_renders_tables(model, tmp_path):
    _markdown, page = write_model_card(model, CERTIFICATE, USE_CASE, 3, tmp_path)
    content = page.read_text()
    assert "<title>flight_delay version 3</title>" in content
    assert "<b>itself" not in content
    assert "too sure | of &lt;b&gt;itself" in content
    assert "<table>" in content


def test_a_summary_names_owner_metric_gates_and_run():
    summary = card_summary(CERTIFICATE, USE_CASE)
    for part in (USE_CASE.owner, "log_loss 0.5000", "1 gates, not passed: calibration", "run7"):
        assert part in summary


def test_a_card_names_the_risk_and_who_judged_it(model):
    card = card_markdown(model, CERTIFICATE, USE_CASE.model_copy(update={"risk": risk("high")}), 3)
    assert "| risk | high, by ann on 2013-07-01: A late call. |" in card
    assert "| risk | not assessed |" in card_markdown(model, CERTIFICATE, USE_CASE, 3)


def test_card_says_why_the_model_was_trained(model):
    text = card_markdown(
        model, CERTIFICATE.model_copy(update={"reason": "drift in 2 of 3 checks"}), USE_CASE, 3
    )
    assert "| trained because of | drift in 2 of 3 checks |" in text
    assert "trained because of" not in card_markdown(model, CERTIFICATE, USE_CASE, 3)
