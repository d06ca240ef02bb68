"""A candidate that passed its gates is fitted again on all rows, if walk-forward refits are no worse."""

from __future__ import annotations

import shutil
import uuid
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import numpy as np
import pytest

from include.certificates.certificate import EVIDENCE, model_digest
from include.declarations import FinalRefit, Serving, Threshold, Training
from include.errors import RunDeleted
from include.modeling import gates
from include.modeling.pipeline import evaluate, refit, reproduce, train
from include.modeling.pipeline.champion import load_champion
from include.modeling.pipeline.workspace import Workspace
from include.modeling.registration import register
from include.modeling.registration.model_card import card_markdown
from include.modeling.registry import load_version
from include.modeling.registry.registry import Registry
from include.specifications import declared_specification
from include.use_cases.flight_delay import USE_CASE
from tests.include.conftest import make_flights, use_own_process
from tests.include.modeling.pipeline.conftest import made_of, own, small

GATES = (Threshold(metric="roc_auc", minimum=0.55),)


def declared(**training):
    settings = {"early_stopping": 3, "final_refit": FinalRefit(margin=0.05, folds=2)} | training
    return own(USE_CASE, gates=GATES, serving=Serving(decision=True), training=Training(**settings))


@dataclass
class Story:
    """Candidate, its refit and the registered version of one night."""

    use_case: Any
    twin: Any
    evidence: Any
    result: refit.Refit
    version: int


@pytest.fixture(scope="module")
def night(mlflow_server, keys, tmp_path_factory):
    """Return a function that trains, judges, refits and registers."""
    registry = Registry(mlflow_server)

    def run(frame, use_case, *, build=small, champion_version=None):
        def site():
            return Workspace(registry, use_case, tmp_path_factory.mktemp("night"), keys)

        inputs = made_of(frame)
        run = {"airworthy.dag": "training", "airworthy.run": uuid.uuid4().hex, "airworthy.partition": ""}
        run_id = registry.run_for(use_case.name, run)
        twin = train.train_candidate(site(), build(), frame, run_id=run_id, provenance=inputs)
        evidence = evaluate.evaluate_candidate(site(), twin, frame, champion_version=champion_version)
        verdicts = gates.judge_gates(use_case, evidence)
        register.record_verdicts(site(), twin, verdicts, evidence)
        refit_inputs = refit.RefitInputs(site(), twin, build, frame, inputs)
        result = refit.refit_candidate(refit_inputs, champion_version=champion_version)
        again = refit.refit_candidate(replace(refit_inputs, workspace=site(), build=forbidden))
        assert again == result
        version = register.register_candidate(
            site(), result.candidate, (*verdicts, *result.verdicts), evidence=evidence, provenance=inputs
        )
        return Story(use_case, twin, evidence, result, version)

    with pytest.MonkeyPatch.context() as patch:
        use_own_process(patch)
        yield run


@pytest.fixture(scope="module")
def story(night):
    """Return the first night of a declared refit."""
    return night(make_flights(), declared())


def forbidden():
    raise AssertionError("fitted again by a later attempt")


@pytest.fixture
def load(registry, keys, tmp_path):
    def read(version):
        folder = tmp_path / f"version-{version}"
        return folder, load_version.load_version(
            registry, "flight_delay", version, folder=folder, trusted=keys / "trusted"
        )

    return read


def test_refit_is_registered_and_its_twin_compared_next_night(story, night, load, registry):
    frame = make_flights()
    assert story.result.candidate != story.twin
    outcomes = {verdict.gate: verdict.outcome for verdict in story.result.verdicts}
    assert set(outcomes.values()) == {"pass"}
    assert {
        "final_refit",
        "refit_golden",
        "refit_parity",
        "refit_signature",
        "refit_prediction_range",
    } <= set(outcomes)

    folder, loaded = load(story.version)
    certificate = loaded.certificate
    assert certificate.model_digest == story.result.candidate.digest != story.twin.digest
    assert certificate.refit["learnt_from"] == "train, validation and test rows"
    assert certificate.refit["twin_digest"] == story.twin.digest
    # The rounds are those after which the candidate stopped.
    rounds = registry._client.get_run(story.twin.run_id).data.metrics["iterations"]
    assert certificate.refit["rounds"] == rounds == loaded.model.estimator[-1].n_iter_
    assert certificate.metrics == story.evidence.metrics["test"]
    assert {"final_refit", "refit_parity"} <= {gate.gate for gate in certificate.gates}
    card = card_markdown(folder, certificate, story.use_case, story.version)
    assert "train, validation and test rows" in card
    assert "the test figures are those of the twin" in card
    assert len(np.load(folder / EVIDENCE / "seen_rows.npy")) == len(frame)
    assert loaded.model.decision.threshold == story.evidence.costs.threshold

    # The refitted champion learnt from these test rows, and its twin did not.
    later = night(frame, declared(seed=5), champion_version=story.version)
    assert later.evidence.champion.overlap == 0
    assert later.evidence.champion.version == story.version
    assert later.evidence.champion.metrics["log_loss"] == pytest.approx(
        story.evidence.metrics["test"]["log_loss"]
    )


def test_champion_whose_twin_was_deleted_is_not_compared(story, registry, keys, tmp_path, monkeypatch):
    def refuse(_, model_id, folder):
        raise RunDeleted(f"The MLflow model {model_id} was deleted.")

    monkeypatch.setattr(Registry, "fetch_model", refuse)
    site = Workspace(registry, story.use_case, tmp_path, keys)
    champion = load_champion(site, story.version, make_flights())
    assert champion.rows is None
    assert "the model before it is gone" in champion.problem
    assert story.twin.run_id in champion.problem


def worse_later():
    """Return a function that builds a good estimator for the candidate, and bad ones for its refits."""
    calls = count()

    def build():
        rate = 1e-6 if next(calls) else 0.1
        return small().set_params(histgradientboostingclassifier__learning_rate=rate)

    return build


def test_refit_is_reproduced_bit_for_bit(story, load, new_workspace, monkeypatch):
    frame = make_flights()
    folder, loaded = load(story.version)
    # The rows of the certified snapshot, which stands in no lake here.
    monkeypatch.setattr(reproduce.Snapshot, "from_json", lambda _: None)
    monkeypatch.setattr(reproduce, "read_snapshot", lambda *_: frame)
    site = replace(new_workspace(), use_case=story.use_case)
    shutil.copytree(folder, site.workdir / "certified")
    specification = declared_specification(story.use_case)
    package, _ = reproduce._train_again(site, specification, lambda **_: small(), None, loaded.certificate)
    assert model_digest(package) == loaded.certificate.model_digest


def test_refit_that_is_worse_leaves_the_candidate(night, load):
    story = night(make_flights(), declared(final_refit=FinalRefit(margin=0, folds=2)), build=worse_later())
    assert story.result.candidate == story.twin
    (verdict,) = story.result.verdicts
    assert (verdict.gate, verdict.outcome, verdict.severity) == ("final_refit", "fail", "warn")
    assert "the candidate is registered as it is" in verdict.reason
    _, loaded = load(story.version)
    assert loaded.certificate.refit == {}
    assert loaded.certificate.model_digest == story.twin.digest
