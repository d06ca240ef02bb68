"""Registration of a candidate: repeated after a failure, and compared with the champion that serves."""

from __future__ import annotations

import json
from unittest.mock import Mock

import pytest

from airworthy.links import CertificateLink, ModelCardLink, ModelPageLink, RegistryVersionLink
from airworthy.operators.registration import RegisterModelOperator
from include.database import ledger
from include.declarations import Improvement
from include.errors import GateFailed, ServiceUnavailable
from tests.plugins.airworthy.operators.test_training import (
    events,
    gate,
    promote,
    register,
    run_until_evaluation,
)
from tests.plugins.conftest import small


def test_failed_registration_is_repeated_and_finishes_its_run(
    flown, database, registry, use_case, context, monkeypatch
):
    run = context()
    made = run_until_evaluation(use_case, run)
    gate(use_case, run, **made)
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "append", Mock(side_effect=ServiceUnavailable("the database is away")))
        with pytest.raises(ServiceUnavailable):
            register(use_case, run, **made)
    (failed,) = registry.search_runs(use_case.name)
    assert (failed.info.status, failed.data.tags["airworthy.failed.task"]) == ("FAILED", "register")
    assert register(use_case, run, **made) == 1
    (again,) = registry.search_runs(use_case.name)
    assert again.info.status == "FINISHED"
    assert not [tag for tag in again.data.tags if tag.startswith("airworthy.failed")]


def test_registration_links_to_card_certificate_and_version(flown, database, registry, use_case, context):
    run = context()
    made = run_until_evaluation(use_case, run)
    gate(use_case, run, **made)
    operator = RegisterModelOperator(task_id="register", use_case=use_case.name, **made)
    version = operator.execute(run)
    ends = {
        ModelCardLink: "/artifacts/model_card.html",
        CertificateLink: f"/models/{made['candidate']['model_id']}/artifacts",
        RegistryVersionLink: f"/#/models/{use_case.name}/versions/{version}",
        ModelPageLink: f"/airworthy/models/{use_case.name}",
    }
    for link, end in ends.items():
        assert link().get_link(operator, ti_key=None).endswith(end)


def test_candidate_is_compared_with_the_champion_that_serves(
    flown, database, registry, use_case, declare, context
):
    first = context({"run_id": "manual__1"})
    made = run_until_evaluation(use_case, first)
    gate(use_case, first, **made)
    later = context({"run_id": "manual__2"})
    declare(small(use_case.name, gates=(Improvement(metric="roc_auc"),)))
    made_later = run_until_evaluation(use_case, later)
    assert made_later["evidence"]["champion"] is None
    promote(database, use_case, register(use_case, first, **made))
    assert register(use_case, first, **made) == 1
    with pytest.raises(GateFailed, match=r"improvement_roc_auc: inconclusive: .*on champion 1"):
        register(use_case, later, **made_later)
    assert [entry["event"] for entry in events(database, use_case)] == [
        "refused",
        "promoted",
        "staged",
        "registered",
    ]


def test_signed_verdicts_are_those_of_the_newest_comparison(
    flown, database, registry, use_case, context, tmp_path
):
    first = context({"run_id": "manual__1"})
    made = run_until_evaluation(use_case, first)
    gate(use_case, first, **made)
    later = context({"run_id": "manual__2"})
    made_later = run_until_evaluation(use_case, later)
    gate(use_case, later, **made_later)
    promote(database, use_case, register(use_case, first, **made))
    version = register(use_case, later, **made_later)
    folder = registry.download(use_case.name, version, tmp_path / "model") / "evidence"
    measured = json.loads((folder / "evidence.json").read_text())
    signed = {
        verdict["gate"]: verdict for verdict in json.loads((folder / "gates.json").read_text())["verdicts"]
    }
    assert measured["champion"]["version"] == 1
    assert signed["overlap"]["figures"]["champion"] == 1
