"""Ingestion while the object store is away: accidents, which Airflow tries again, and then green."""

from __future__ import annotations

import json
from datetime import date

import pytest

from airflow.sdk import RetryAction
from airflow.sdk.exceptions import TaskDeferred

from airworthy import assets
from airworthy.defaults import RETRY_UNAVAILABLE_SERVICES
from airworthy.hooks.lake import LakeHook
from airworthy.operators.data_validation import DataValidationOperator
from airworthy.operators.ingestion import ExtractPartitionOperator, PublishPartitionOperator
from airworthy.sensors.landing import PartitionLandedSensor
from include.catalog import catalog
from include.errors import ServiceUnavailable, SettingsError
from include.storage import filesystem
from tests.contracts.frames import generate
from tests.faults.proxy import Proxy

DAY, ARRIVALS = date(2013, 7, 1), catalog().datasets["arrivals"]


@pytest.fixture
def proxy(object_store):
    with Proxy(object_store.endpoint) as proxy:
        yield proxy


@pytest.fixture
def connect(object_store, proxy, monkeypatch):
    """Let `lake_default` name lake and landing in the store, behind the proxy."""
    address = object_store.address()

    def connect(**changes):
        options = object_store.options(proxy.uri, max_retries="1", retry_timeout="2s", **changes)
        extra = {
            "lake_uri": f"{address}/lake",
            "landing_uri": f"{address}/landing",
            "storage_options": options,
        }
        monkeypatch.setenv("AIRFLOW_CONN_LAKE_DEFAULT", json.dumps({"conn_type": "generic", "extra": extra}))
        return LakeHook()

    return connect


def land(hook):
    files = filesystem.open_filesystem(hook.landing.uri, hook.storage_options)
    rows = generate(ARRIVALS.columns, 400, DAY).to_csv(index=False).encode()
    filesystem.write_file(files, f"arrivals/{DAY}.csv", rows)


def steps(context):
    """Return extract, validate and publish, to be called in this order."""
    made = {}

    def extract():
        operator = ExtractPartitionOperator(task_id="extract", dataset="arrivals")
        made["extract"] = operator.execute(context)

    def validate():
        operator = DataValidationOperator(task_id="validate", subject="arrivals", frame=made["extract"])
        made["validate"] = operator.execute(context)

    def publish():
        outlets = [assets.dataset("arrivals")]
        PublishPartitionOperator(
            task_id="publish", table="arrivals", frame=made["validate"], outlets=outlets
        ).execute(context)

    return extract, validate, publish


def decision(error):
    return RETRY_UNAVAILABLE_SERVICES.evaluate(error, 1, 3).action


def test_each_step_fails_as_an_accident_while_the_store_is_away_and_is_green_afterwards(
    connect, proxy, context, database
):
    hook = connect()
    land(hook)
    for step in steps(context({"partition_key": str(DAY)})):
        proxy.stop()
        with pytest.raises(ServiceUnavailable, match=f"at {proxy.uri} does not answer") as away:
            step()
        assert decision(away.value) is RetryAction.RETRY
        proxy.start()
        step()
    assert hook.lake.counts("arrivals") == {DAY: 400}


def test_who_waits_goes_on_waiting_while_the_store_is_away(connect, proxy, context):
    land(connect())
    wait = PartitionLandedSensor(task_id="wait", dataset="arrivals", patience=ARRIVALS.landing_timeout)
    proxy.stop()
    with pytest.raises(TaskDeferred):
        wait.execute(context({"partition_key": str(DAY)}))
    proxy.start()
    wait.execute(context({"partition_key": str(DAY)}))


def test_a_wrong_secret_is_not_tried_again_and_names_the_connection(connect, context, proxy):
    connect(AWS_SECRET_ACCESS_KEY="wrong-secret-of-ours")
    extract, *_ = steps(context({"partition_key": str(DAY)}))
    with pytest.raises(SettingsError, match=f"{proxy.uri} refuses the credentials.*lake_default") as refused:
        extract()
    assert decision(refused.value) is RetryAction.FAIL
    assert "wrong-secret" not in str(refused.value)


def test_a_stale_extract_does_not_swap_the_rows_that_its_successor_staged(connect, context):
    hook = connect()
    land(hook)
    first, second = (context({"partition_key": str(DAY)}) for _ in range(2))
    second["ti"].try_number = 2
    extract = ExtractPartitionOperator(task_id="extract", dataset="arrivals")
    staged = extract.execute(second)
    assert extract.execute(first) != staged
    assert extract.execute(second) == staged
    assert len(hook.staging.read(staged)) == 400
