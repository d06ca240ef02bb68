from __future__ import annotations

import json
import uuid

import pytest
from mlflow import MlflowClient

from include.certificates import certificate
from include.errors import GateFailed
from include.modeling.evaluation.evidence import Evidence, Measurement
from include.modeling.gates import Verdict
from include.modeling.packaging.package import model_digest
from include.modeling.pipeline.workspace import TrainedCandidate, Workspace
from include.modeling.registration.register import register_candidate, require_passed
from include.modeling.registry.provenance import Provenance
from include.use_cases.flight_delay import USE_CASE as FLIGHT_DELAY

CANDIDATE = TrainedCandidate("flight_delay", "run", "model", "digest")


def verdict(outcome, severity="block"):
    return Verdict("improvement_log_loss", outcome, severity, "gains +0.001", {})


def test_a_candidate_that_passed_its_blocking_gates_is_accepted():
    require_passed(CANDIDATE, [verdict("pass"), verdict("fail", "warn"), verdict("inconclusive", "info")])


@pytest.mark.parametrize("outcome", ["fail", "inconclusive"])
def test_a_blocking_gate_refuses_a_candidate_with_its_reason(outcome):
    with pytest.raises(GateFailed, match=f"improvement_log_loss: {outcome}: gains"):
        require_passed(CANDIDATE, [verdict("pass"), verdict(outcome)])


PASSED = (
    Verdict("threshold_roc_auc", "pass", "block", "roc_auc 0.7100 is within its bounds", {"value": 0.71}),
    Verdict("calibration", "fail", "warn", "too sure | of <b>itself</b>", {"error": 0.2}),
)
EVIDENCE = Evidence(
    metrics={"train": {"log_loss": 0.4}, "test": {"log_loss": 0.5, "roc_auc": 0.71}},
    rows={"train": 2000, "test": 400},
    overlap=0,
    prediction_range=(0.1, 0.9),
    intervals={"log_loss": (0.48, 0.52)},
    measurements={"fairness by carrier": Measurement(items=({"carrier": "UA", "rows": 120, "tpr": 0.51},))},
)
APPROVAL = {"gate": "threshold_roc_auc", "by": "ann", "at": "2013-03-01", "reason": "looked at it"}


@pytest.fixture
def trained(registry, packaged, keys, tmp_path):
    """Return an evaluated candidate, and a function that registers it."""
    provenance = Provenance(
        {"digest": uuid.uuid4().hex, "days": ["2013-01-01", "2013-02-20"]}, "c0de", "10c4"
    )
    tags = {"airworthy.dag": "training", "airworthy.run": uuid.uuid4().hex, "airworthy.partition": ""}
    run_id = registry.run_for("flight_delay", tags)
    for name, content in (("evidence.json", EVIDENCE.model_dump_json()), ("roc.png", "picture")):
        (tmp_path / name).write_text(content)
        registry.log_file(run_id, tmp_path / name)
    importance = {"rows": 400, "importance": [{"feature": "wind_speed", "worse": 0.123, "deviation": 0.01}]}
    (tmp_path / "explanations.json").write_text(json.dumps(importance))
    registry.log_file(run_id, tmp_path / "explanations.json")
    logged = registry.log_model(run_id, packaged, digest=model_digest(packaged), tags=provenance.tags)
    candidate = TrainedCandidate("flight_delay", run_id, logged.model_id, logged.digest)

    def register():
        folder = tmp_path / uuid.uuid4().hex
        folder.mkdir()
        site = Workspace(registry, FLIGHT_DELAY, folder, keys)
        return register_candidate(
            site,
            candidate,
            PASSED,
            evidence=EVIDENCE,
            provenance=provenance,
            approvals=(APPROVAL,),
            facts={"reason": "drift in 2 of 3 checks"},
        )

    return candidate, register


def read_card(registry, candidate, name="model_card.md"):
    return registry.read_file(candidate.run_id, name).decode()


def test_the_evidence_of_a_version_is_signed(registry, trained, keys, tmp_path):
    candidate, register = trained
    folder = registry.download("flight_delay", register(), tmp_path / "version")
    signed = certificate.verify_certificate(folder, keys / "trusted").files
    assert {"evidence/evidence.json", "evidence/roc.png", "evidence/explanations.json"} <= signed.keys()
    assert (folder / "evidence" / "roc.png").read_text() == "picture"
    verified = certificate.verify_certificate(folder, keys / "trusted")
    assert (verified.model_digest, verified.reason) == (candidate.digest, "drift in 2 of 3 checks")


def test_a_second_registration_changes_nothing(registry, trained, tmp_path):
    candidate, register = trained
    first = register()
    before = registry.download("flight_delay", first, tmp_path / "first") / certificate.FILE_NAME
    card = read_card(registry, candidate)
    assert register() == first
    after = registry.download("flight_delay", first, tmp_path / "second") / certificate.FILE_NAME
    assert after.read_bytes() == before.read_bytes()
    assert read_card(registry, candidate) == card


def test_a_version_is_tagged_with_data_code_run_and_gates(registry, trained):
    candidate, register = trained
    tags = registry.tags_of("flight_delay", register())
    lineage = {name: tags[f"airworthy.{name}"] for name in ("run_id", "digest", "code_version", "lock_hash")}
    assert lineage == {
        "run_id": candidate.run_id, "digest": candidate.digest, "code_version": "c0de", "lock_hash": "10c4",
    }  # fmt: skip
    assert "airworthy.snapshot.digest" in tags
    assert tags["airworthy.gate.threshold_roc_auc"] == "pass"
    assert tags["airworthy.gate.calibration"] == "fail"


def test_the_card_describes_the_certificate_and_evidence(registry, trained, tmp_path):
    candidate, register = trained
    version = register()
    card = read_card(registry, candidate)
    for part in (
        f"# flight_delay version {version}",
        FLIGHT_DELAY.description,
        "| owner | passenger-care |",
        "2013-02-20",
        "0.4800 to 0.5200",
        "| UA | 120 | 0.51 |",
        "| wind_speed | 0.123 | 0.01 |",
        "calibration did not pass (warn, fail)",
        "| trained because of | drift in 2 of 3 checks |",
        "looked at it",
        "c0de",
        f"verify models:/flight_delay/{version}",
    ):
        assert part in card, part


def test_markup_in_data_is_escaped_in_the_html_card(registry, trained, tmp_path):
    candidate, register = trained
    register()
    page = read_card(registry, candidate, "model_card.html")
    assert "<b>itself" not in page
    assert "too sure | of &lt;b&gt;itself" in page
    assert "<table>" in page


def test_the_description_names_owner_metric_and_run(registry, trained):
    candidate, register = trained
    version = MlflowClient(registry.uri).get_model_version("flight_delay", str(register()))
    for part in ("passenger-care", "log_loss 0.5000", "not passed: calibration", candidate.run_id):
        assert part in version.description


def test_an_approved_inconclusive_gate_is_accepted():
    require_passed(CANDIDATE, [verdict("inconclusive")], [{"gate": "improvement_log_loss", "by": "ann"}])


@pytest.mark.parametrize(
    ("outcome", "gate"), [("inconclusive", "overlap"), ("fail", "improvement_log_loss")], ids=["other", "no"]
)
def test_an_approval_of_another_or_a_failed_gate_is_ignored(outcome, gate):
    with pytest.raises(GateFailed, match=f"improvement_log_loss: {outcome}"):
        require_passed(CANDIDATE, [verdict(outcome)], [{"gate": gate, "by": "ann"}])
