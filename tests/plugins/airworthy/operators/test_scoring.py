"""The operators of batch scoring with PostgreSQL, MLflow and a Delta lake."""

from __future__ import annotations

import pyarrow as pa
import pytest
from sqlalchemy import select

from airflow.sdk.exceptions import AirflowSkipException

from airworthy.operators.ingestion import PublishPartitionOperator
from airworthy.operators.scoring import BatchScoringOperator, CheckPredictionsOperator
from include.database.tables import gate_result
from include.errors import PartitionMissing, QualityFailed, ReleaseError
from include.storage.staging import Staging
from tests.plugins.airworthy.operators.rollout_fixtures import certified

__all__ = ["certified"]

DAY = {"partition_key": "2013-01-05"}


def score(use_case, run):
    return BatchScoringOperator(task_id="score", use_case=use_case.name).execute(run)


def check(use_case, run, path):
    operator = CheckPredictionsOperator(
        task_id="check", use_case=use_case.name, frame=path, expected=run["ti"].pushed["expected"]
    )
    return operator.execute(run)


def publish(use_case, run, path):
    operator = PublishPartitionOperator(
        task_id="publish",
        table=f"{use_case.name}_predictions",
        frame=path,
        partitions_of=use_case.feature_view,
    )
    return operator.execute(run)


def test_partition_is_scored_with_the_champion(champion, flown, context):
    run = context(DAY)
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


def test_scoring_without_a_champion_is_skipped(certified, flown, context):
    with pytest.raises(AirflowSkipException, match="no champion yet"):
        score(certified, context(DAY))


def test_partition_without_features_cannot_be_scored(champion, flown, context):
    with pytest.raises(PartitionMissing, match="2013-12-24"):
        score(champion, context({"partition_key": "2013-12-24"}))


def test_run_that_is_repeated_publishes_the_same_rows(champion, flown, context):
    table = f"{champion.name}_predictions"
    published = []
    for _ in range(2):
        run = context(DAY)
        publish(champion, run, check(champion, run, score(champion, run)))
        published.append(flown.read(table).sort_values("flight_id", ignore_index=True))
    assert len(published[0]) == 40
    assert published[0].equals(published[1])


def test_named_version_scores_instead_of_the_champion(champion, flown, context):
    run = context(DAY, params={"version": 2})
    scored = Staging(flown.uri).read(check(champion, run, score(champion, run)))
    assert set(scored["_airworthy_version"]) == {2}


def test_version_that_does_not_exist_is_refused(champion, flown, context):
    with pytest.raises(ReleaseError, match="99"):
        score(champion, context(DAY, params={"version": 99}))


def test_incomplete_predictions_are_refused_with_evidence(champion, flown, context, database):
    staging = Staging(flown.uri)
    run = context(DAY)
    rows = staging.read_table(score(champion, run))
    path = staging.write_table("another", "predictions", pa.concat_tables([rows.slice(3)]))
    with pytest.raises(QualityFailed, match="37 rows were scored of 40 rows of features"):
        check(champion, run, path)
    with database.connect() as connection:
        row = connection.execute(select(gate_result)).mappings().one()
    assert (row["subject"], row["passed"], row["rows"]) == (f"{champion.name}_predictions", False, 37)
