from __future__ import annotations

from datetime import date, timedelta

import pandas as pd
import pytest

from airflow.sdk.exceptions import AirflowSkipException

from airworthy.hooks.lake import LakeHook
from airworthy.operators.maintenance import (
    CompactTableOperator,
    ProfileTableOperator,
    SweepStagingOperator,
)
from include.errors import DataError
from include.storage import reports

DAY = date(2013, 1, 20)


def compact(context, table, **options):
    return CompactTableOperator(task_id="compact", table=table, **options).execute(context())


@pytest.fixture
def rewritten(flown):
    """Return the lake after the last day of the features was published two more times."""
    rows = flown.read("flight_features", [DAY])
    for _ in range(2):
        flown.publish("flight_features", rows, [DAY], metadata={})
    return flown


def test_version_of_a_registered_model_stays_readable(rewritten, certified, registry, context):
    named = int(registry.tags_of(certified.name, 1)["airworthy.snapshot.feature_version"])
    newest = rewritten.version("flight_features")
    deleted = compact(context, "flight_features", retention=timedelta(0))
    assert deleted > 0
    assert len(rewritten.read("flight_features", version=named)) == 800
    assert len(rewritten.read("flight_features")) == 800
    with pytest.raises(DataError):
        rewritten.read("flight_features", version=newest - 1)


def test_version_within_the_retention_stays_readable(rewritten, registry, context):
    newest = rewritten.version("flight_features")
    assert compact(context, "flight_features", retention=timedelta(days=30)) == 0
    assert len(rewritten.read("flight_features", version=newest - 1)) == 800


def test_missing_table_is_skipped(lake, context):
    with pytest.raises(AirflowSkipException, match="no table flights yet"):
        compact(context, "flights")


def test_only_old_frames_are_deleted(lake, context):
    staging = LakeHook().staging
    staging.write("run", "extracted", pd.DataFrame({"id": ["a"]}))
    assert SweepStagingOperator(task_id="sweep", older_than=timedelta(days=3)).execute(context()) == 0
    assert SweepStagingOperator(task_id="sweep", older_than=timedelta(days=-1)).execute(context()) == 1


def test_profile_of_a_table_is_a_report(flown, context):
    task = ProfileTableOperator(task_id="profile", table="flight_features")
    path = task.execute(context())
    assert path == "profiles/flight_features.html"
    assert task.evidence_url.endswith(f"/airworthy/reports/{path}")
    assert reports.has_report(flown.uri, {}, path)


def test_profile_without_rows_is_skipped(lake, context):
    with pytest.raises(AirflowSkipException, match="no rows to profile"):
        ProfileTableOperator(task_id="profile", table="weather").execute(context())
