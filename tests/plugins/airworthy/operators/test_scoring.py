"""BatchScoringOperator with PostgreSQL, MLflow and a Delta lake."""

from __future__ import annotations

import pytest

from airflow.sdk.exceptions import AirflowSkipException

from airworthy.operators.scoring import BatchScoringOperator
from include.errors import PartitionMissing
from include.storage.staging import Staging


def score(use_case, run):
    return BatchScoringOperator(task_id="score", use_case=use_case.name).execute(run)


def test_partition_is_scored_with_the_champion(champion, flown, context):
    run = context({"partition_key": "2013-01-05"})
    scored = Staging(flown.uri).read(score(champion, run))
    assert set(scored.columns) >= {
        "flight_id",
        "_airworthy_day",
        "_airworthy_prediction",
        "_airworthy_version",
    }
    assert (len(scored), set(scored["_airworthy_version"]), set(scored["_airworthy_day"])) == (
        40,
        {1},
        {"2013-01-05"},
    )
    assert run["ti"].pushed["figures"]["rows"] == 40
    assert scored["_airworthy_prediction"].between(0, 1).all()


def test_partition_scored_again_has_the_same_predictions(champion, flown, context):
    staging = Staging(flown.uri)
    first = staging.read(score(champion, context({"partition_key": "2013-01-05"})))
    second = staging.read(score(champion, context({"partition_key": "2013-01-05"})))
    assert first.equals(second)


def test_scoring_without_a_champion_is_skipped(certified, flown, context):
    with pytest.raises(AirflowSkipException, match="no champion yet"):
        score(certified, context({"partition_key": "2013-01-05"}))


def test_partition_without_features_cannot_be_scored(champion, flown, context):
    with pytest.raises(PartitionMissing, match="2013-12-24"):
        score(champion, context({"partition_key": "2013-12-24"}))
