from __future__ import annotations

from types import SimpleNamespace
from unittest.mock import create_autospec

import boto3
import pytest
from botocore.exceptions import ClientError

from include.errors import SettingsError
from include.stack.compose import setup


def _store(*, honest: bool):
    """Return a double of an object store that honours conditional puts, or one that ignores them."""
    client = boto3.client("s3", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    store = create_autospec(client, instance=True)
    store.meta = SimpleNamespace(endpoint_url="http://store:8333")
    existing = []

    def put(**_):
        if existing and honest:
            raise ClientError({"Error": {"Code": "PreconditionFailed"}}, "PutObject")
        existing.append(True)

    store.put_object.side_effect = put
    return store


def test_store_with_conditional_puts_passes():
    setup.check_conditional_puts(_store(honest=True), "lake")


def test_store_without_conditional_puts_is_refused_by_name():
    with pytest.raises(SettingsError, match=r"http://store:8333 let 8 of 8 writers.*If-None-Match"):
        setup.check_conditional_puts(_store(honest=False), "lake")


def test_other_error_of_the_store_is_raised():
    store = _store(honest=True)
    store.put_object.side_effect = ClientError({"Error": {"Code": "AccessDenied"}}, "PutObject")
    with pytest.raises(ClientError, match="AccessDenied"):
        setup.check_conditional_puts(store, "lake")


def test_unknown_step_is_refused_with_the_known_ones():
    with pytest.raises(SettingsError, match=r"'bukets'.*databases, buckets, keys, login, connections"):
        setup.run_setup(["bukets"])


def test_missing_variable_is_named(monkeypatch):
    monkeypatch.delenv("S3_BUCKETS", raising=False)
    with pytest.raises(SettingsError, match="S3_BUCKETS is not set"):
        setup.run_setup(["buckets"])
