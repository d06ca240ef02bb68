"""The final refit as a task: between the approval and the registration, and repeated by a retry."""

from __future__ import annotations

import json

import pytest

from airflow.sdk.exceptions import AirflowSkipException

from airworthy.operators.refit import RefitModelOperator
from airworthy.operators.registration import RegisterModelOperator
from include.database import ledger
from include.declarations import FinalRefit, Split, Training
from tests.plugins.airworthy.operators.test_training import gate, promote, run_until_evaluation
from tests.plugins.conftest import small

SPLIT = Split(validation_days=2, test_days=6, minimum_rows=100)


@pytest.fixture
def refitted(use_case, declare):
    """Return a use case with a final refit that no model is too bad for."""
    training = Training(final_refit=FinalRefit(margin=1, folds=2))
    return declare(small(use_case.name, split=SPLIT, training=training))


def refit(use_case, run, made):
    inputs = {name: made[name] for name in ("snapshot", "candidate")}
    return RefitModelOperator(task_id="refit", use_case=use_case.name, **inputs).execute(run)


def register(use_case, run, made, result):
    operator = RegisterModelOperator(task_id="register", use_case=use_case.name, refit=result, **made)
    return operator.execute(run)


def test_refitted_model_is_registered_instead(flown, database, registry, refitted, context):
    run = context()
    made = run_until_evaluation(refitted, run)
    gate(refitted, run, **made)
    result = refit(refitted, run, made)
    assert refit(refitted, run, made) == result
    chosen = json.loads(result)["candidate"]
    assert chosen["digest"] != made["candidate"]["digest"]
    version = register(refitted, run, made, result)
    with database.connect() as connection:
        (entry,) = [
            entry
            for entry in ledger.ledger_entries(connection, refitted.name)
            if entry["event"] == "registered"
        ]
    assert entry["evidence"]["digest"] == chosen["digest"]
    assert "refit_parity" in {verdict["gate"] for verdict in entry["evidence"]["gates"]}
    assert {run.info.status for run in registry.search_runs(refitted.name)} == {"FINISHED"}
    # A cleared registration finds the version, also when it serves already.
    promote(database, refitted, version)
    assert register(refitted, run, made, result) == version


def test_experiment_is_not_refitted(refitted, context):
    run = context(params={"experiment": True})
    with pytest.raises(AirflowSkipException, match="not fitted again"):
        refit(refitted, run, {"snapshot": "{}", "candidate": {}})
