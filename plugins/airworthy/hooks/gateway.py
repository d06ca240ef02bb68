"""Reach the gateway that answers callers."""

from __future__ import annotations

from functools import cached_property

from airflow.sdk import BaseHook

from include.errors import SettingsError


class GatewayHook(BaseHook):
    """Turns a connection (its host is the gateway's whole URI) into addresses."""

    conn_name_attr = "gateway_conn_id"
    default_conn_name = "gateway_default"

    def __init__(self, gateway_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.gateway_conn_id = gateway_conn_id

    @cached_property
    def uri(self) -> str:
        """The gateway's address."""
        host = self.get_connection(self.gateway_conn_id).host
        if not host:
            raise SettingsError(
                f"Connection {self.gateway_conn_id} has no host: give the gateway's whole URI."
            )
        return str(host).rstrip("/")

    def page(self, use_case: str) -> str:
        """Return where a person sees what is served of a use case."""
        public = self.get_connection(self.gateway_conn_id).extra_dejson.get("public_uri") or self.uri
        return f"{public}/models/{use_case}"

    def invocations(self, use_case: str) -> str:
        """Return where predictions of a use case are asked for."""
        return f"{self.uri}/models/{use_case}/invocations"
