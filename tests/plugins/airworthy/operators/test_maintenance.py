from __future__ import annotations

from datetime import date, timedelta

import pytest

from airflow.sdk.exceptions import AirflowSkipException

from airworthy.operators.maintenance import CompactTableOperator
from include.errors import DataError

DAY = date(2013, 1, 20)


def compact(context, table, **knobs):
    return CompactTableOperator(task_id="compact", table=table, **knobs).execute(context())


@pytest.fixture
def rewritten(flown):
    """Return the lake after the last day of the features was published twice more."""
    rows = flown.read("flight_features", [DAY])
    for _ in range(2):
        flown.publish("flight_features", rows, [DAY], metadata={})
    return flown


def test_versions_that_a_registered_model_learned_from_stay_readable(rewritten, certified, registry, context):
    named = int(registry.tags_of(certified.name, 1)["airworthy.snapshot.feature_version"])
    newest = rewritten.version("flight_features")
    deleted = compact(context, "flight_features", retention=timedelta(0))
    assert deleted > 0
    assert len(rewritten.read("flight_features", version=named)) == 800
    assert len(rewritten.read("flight_features")) == 800
    with pytest.raises(DataError):
        rewritten.read("flight_features", version=newest - 1)


def test_nothing_is_deleted_that_is_younger_than_the_retention(rewritten, registry, context):
    newest = rewritten.version("flight_features")
    assert compact(context, "flight_features", retention=timedelta(days=30)) == 0
    assert len(rewritten.read("flight_features", version=newest - 1)) == 800


def test_a_table_that_is_not_there_yet_is_skipped(lake, context):
    with pytest.raises(AirflowSkipException, match="no table flights yet"):
        compact(context, "flights")
