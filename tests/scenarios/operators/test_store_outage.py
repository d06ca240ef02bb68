"""Ingestion while the object store is away: transient errors, which Airflow retries."""

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

DAY = date(2013, 7, 1)
ARRIVALS = catalog().datasets["arrivals"]


@pytest.fixture
def proxy(object_store):
    with Proxy(object_store.endpoint) as proxy:
        yield proxy


@pytest.fixture
def connect(object_store, proxy, monkeypatch):
    """Return a function that points `lake_default` to the store behind the proxy."""
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
    paths = {}

    def extract():
        operator = ExtractPartitionOperator(task_id="extract", dataset="arrivals")
        paths["extract"] = operator.execute(context)

    def validate():
        operator = DataValidationOperator(task_id="validate", subject="arrivals", frame=paths["extract"])
        paths["validate"] = operator.execute(context)

    def publish():
        outlets = [assets.dataset("arrivals")]
        PublishPartitionOperator(
            task_id="publish", table="arrivals", frame=paths["validate"], outlets=outlets
        ).execute(context)

    return extract, validate, publish


def decision(error):
    return RETRY_UNAVAILABLE_SERVICES.evaluate(error, 1, 3).action


def test_each_step_can_be_retried_while_the_store_is_away(connect, proxy, context, database):
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


def test_sensor_keeps_waiting_while_the_store_is_away(connect, proxy, context):
    land(connect())
    wait = PartitionLandedSensor(task_id="wait", dataset="arrivals", landing_timeout=ARRIVALS.landing_timeout)
    proxy.stop()
    with pytest.raises(TaskDeferred):
        wait.execute(context({"partition_key": str(DAY)}))
    proxy.start()
    wait.execute(context({"partition_key": str(DAY)}))


def test_wrong_secret_is_not_retried(connect, context, proxy):
    connect(AWS_SECRET_ACCESS_KEY="wrong-secret-for-tests")
    extract, *_ = steps(context({"partition_key": str(DAY)}))
    with pytest.raises(SettingsError, match=f"{proxy.uri} refuses the credentials.*lake_default") as refused:
        extract()
    assert decision(refused.value) is RetryAction.FAIL
    assert "wrong-secret" not in str(refused.value)


def test_stale_extract_does_not_replace_newer_rows(connect, context):
    hook = connect()
    land(hook)
    first, second = (context({"partition_key": str(DAY)}) for _ in range(2))
    second["ti"].try_number = 2
    extract = ExtractPartitionOperator(task_id="extract", dataset="arrivals")
    staged = extract.execute(second)
    assert extract.execute(first) != staged
    assert extract.execute(second) == staged
    assert len(hook.staging.read(staged)) == 400
