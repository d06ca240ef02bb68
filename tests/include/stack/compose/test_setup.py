from __future__ import annotations

from types import SimpleNamespace
from unittest.mock import create_autospec

import boto3
import pytest
from botocore.exceptions import ClientError

from include.errors import SettingsError
from include.stack.compose import setup


def _store(*, honest: bool):
    """Return somebody else's object store, which is not to be had here: it keeps the promise, or not."""
    client = boto3.client("s3", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    store = create_autospec(client, instance=True)
    store.meta = SimpleNamespace(endpoint_url="http://store:8333")
    there = []

    def put(**_):
        if there and honest:
            raise ClientError({"Error": {"Code": "PreconditionFailed"}}, "PutObject")
        there.append(True)

    store.put_object.side_effect = put
    return store


def test_a_store_that_lets_one_writer_win_is_taken():
    setup.check_conditional_puts(_store(honest=True), "lake")


def test_a_store_that_lets_every_writer_win_is_refused_by_name():
    with pytest.raises(SettingsError, match=r"http://store:8333 let 8 of 8 writers.*If-None-Match"):
        setup.check_conditional_puts(_store(honest=False), "lake")


def test_another_error_of_the_store_is_not_taken_for_a_lost_race():
    store = _store(honest=True)
    store.put_object.side_effect = ClientError({"Error": {"Code": "AccessDenied"}}, "PutObject")
    with pytest.raises(ClientError, match="AccessDenied"):
        setup.check_conditional_puts(store, "lake")


def test_an_unknown_step_is_refused_with_those_there_are():
    with pytest.raises(SettingsError, match=r"'bukets'.*databases, buckets, keys, login, connections"):
        setup.run_steps(["bukets"])


def test_a_missing_variable_is_named(monkeypatch):
    monkeypatch.delenv("S3_BUCKETS", raising=False)
    with pytest.raises(SettingsError, match="S3_BUCKETS is not set"):
        setup.run_steps(["buckets"])
