from __future__ import annotations

import pytest

from airworthy.hooks.lake import LakeHook
from include.errors import SettingsError


def test_lake_and_landing_are_those_of_the_extra(connection):
    options = {"AWS_REGION": "eu"}
    extra = {"lake_uri": "s3://lake/", "landing_uri": "s3://landing/", "storage_options": options}
    connection("lake_default", conn_type="generic", extra=extra)
    hook = LakeHook()
    assert hook.lake.uri == "s3://lake"
    assert hook.staging.uri == "s3://lake"
    assert hook.landing.uri == "s3://landing"
    assert hook.lake.storage_options == options
    assert hook.landing.storage_options == options


def test_storage_options_may_be_null(connection):
    extra = {"lake_uri": "/lake", "landing_uri": "/landing", "storage_options": None}
    connection("lake_default", conn_type="generic", extra=extra)
    assert LakeHook().storage_options == {}


def test_connection_without_a_lake_is_refused(connection):
    connection("lake_default", conn_type="generic", extra={"landing_uri": "/landing"})
    with pytest.raises(SettingsError, match=r"lake_default.*lake_uri"):
        _ = LakeHook().lake
