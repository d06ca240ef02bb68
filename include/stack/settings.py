"""The one place where the environment becomes settings."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from include.declarations import Environment
from include.errors import SettingsError


class Settings(BaseSettings):
    """`AIRWORTHY_*` variables; every path that is not given lies below `home`."""

    model_config = SettingsConfigDict(env_prefix="AIRWORTHY_", frozen=True, extra="ignore")

    home: Path = Path(".airworthy")
    env: Environment = "dev"
    airflow_port: int = Field(8080, ge=1024, le=65535)
    mlflow_port: int = Field(5000, ge=1024, le=65535)
    gateway_port: int = Field(8090, ge=1024, le=65535)
    postgres_port: int = Field(5433, ge=1024, le=65535)
    controller_port: int = Field(8091, ge=1024, le=65535)
    log_server_port: int = Field(8793, ge=1024, le=65535)
    model_server_ports: tuple[int, int] = (9000, 9099)
    database_url: str = Field("", repr=False)
    mlflow_uri: str = ""
    lake_uri: str = ""
    landing_uri: str = ""

    @property
    def root(self) -> Path:
        """The home, absolute."""
        return self.home.expanduser().absolute()

    @property
    def trusted_keys(self) -> Path:
        """The folder of the public keys whose certificates are believed."""
        return self.root / "keys" / "trusted"

    @property
    def signing_key(self) -> Path:
        """The private key that signs certificates; only Airflow's side reads it."""
        return self.root / "keys" / "signing.pem"


@cache
def settings() -> Settings:
    """
    Return the settings of this process.

    :raises SettingsError: naming the variable and what it may be
    """
    try:
        return Settings()
    except ValidationError as error:
        problems = "; ".join(
            f"AIRWORTHY_{'.'.join(map(str, p['loc'])).upper()}: {p['msg']}" for p in error.errors()
        )
        raise SettingsError(f"{problems}. Correct the variable, or unset it for the default.") from error
