from __future__ import annotations

import pytest

from airworthy.hooks.gateway import GatewayHook
from include.errors import SettingsError


def test_invocations_are_at_the_host_of_the_connection(connection):
    connection("elsewhere", conn_type="generic", host="http://gateway:8090/")
    assert GatewayHook("elsewhere").invocations("late") == "http://gateway:8090/models/late/invocations"


def test_connection_without_a_host_is_refused(connection):
    connection("gateway_default", conn_type="generic")
    with pytest.raises(SettingsError, match=r"gateway_default has no host"):
        _ = GatewayHook().uri
