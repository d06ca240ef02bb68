"""Hook for the gateway that serves predictions."""

from __future__ import annotations

from functools import cached_property

from airflow.sdk import BaseHook

from include.errors import SettingsError


class GatewayHook(BaseHook):
    """
    Return addresses of the gateway.

    The connection's host is the whole URI of the gateway. `public_uri` in its extra is the URI for browsers,
    if it is another one.

    :param gateway_conn_id: connection of the gateway
    """

    conn_name_attr = "gateway_conn_id"
    default_conn_name = "gateway_default"

    def __init__(self, gateway_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.gateway_conn_id = gateway_conn_id

    @cached_property
    def uri(self) -> str:
        """
        URI of the gateway.

        :raises SettingsError: if the connection has no host
        """
        host = self.get_connection(self.gateway_conn_id).host
        if not host:
            raise SettingsError(
                f"Connection {self.gateway_conn_id} has no host. Set it to the whole URI of the gateway."
            )
        return str(host).rstrip("/")

    def page(self, use_case: str) -> str:
        """Return the address of the page with the served versions of a use case."""
        public = self.get_connection(self.gateway_conn_id).extra_dejson.get("public_uri") or self.uri
        return f"{str(public).rstrip('/')}/models/{use_case}"

    def invocations(self, use_case: str) -> str:
        """Return the address for prediction requests of a use case."""
        return f"{self.uri}/models/{use_case}/invocations"
