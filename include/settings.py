"""The settings of the project, read from `AIRWORTHY_*` variables."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from include.credentials import database_password, pseudonym_key
from include.declarations import Environment
from include.errors import SettingsError

LOOPBACK = "127.0.0.1"


class Settings(BaseSettings):
    """`AIRWORTHY_*` variables; values that are not set are derived from `home` and the ports."""

    model_config = SettingsConfigDict(
        env_prefix="AIRWORTHY_", frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

    home: Path = Field(Path(".airworthy"), validate_default=True)
    env: Environment = "dev"
    airflow_port: int = Field(8080, ge=1024, le=65535)
    mlflow_port: int = Field(5000, ge=1024, le=65535)
    gateway_port: int = Field(8090, ge=1024, le=65535)
    postgres_port: int = Field(5433, ge=1024, le=65535)
    controller_port: int = Field(8091, ge=1024, le=65535)
    features_port: int = Field(8092, ge=1024, le=65535)
    model_server_ports: tuple[int, int] = (9000, 9099)
    # Whether callers of the gateway need a token; by default in uat and prod.
    require_tokens: bool = Field(default_factory=lambda data: data.get("env") != "dev")
    # File of the certificate and private key of the gateway, in PEM; without one it speaks HTTP.
    gateway_certificate: Path | None = None
    # False: model servers load only formats that cannot run code.
    allow_pickle: bool = True
    # The host name under which the workers reach the model servers.
    model_server_host: str = LOOPBACK
    # The address that the feature server listens on.
    features_host: str = LOOPBACK
    database_url: str = Field(default_factory=lambda data: _embedded_database(data), repr=False)
    # The key of pseudonyms of personal values.
    pseudonym_key: str = Field(default_factory=lambda data: _embedded_pseudonym_key(data), repr=False)
    airflow_uri: str = Field(default_factory=lambda data: _local(data, "airflow_port"))
    gateway_uri: str = Field(default_factory=lambda data: _gateway(data))
    features_uri: str = Field(default_factory=lambda data: _local(data, "features_port"))
    mlflow_uri: str = Field(default_factory=lambda data: _local(data, "mlflow_port"))
    lake_uri: str = Field(default_factory=lambda data: _below(data, "lake"))
    landing_uri: str = Field(default_factory=lambda data: _below(data, "landing"))
    artifacts_uri: str = Field(default_factory=lambda data: _below(data, "mlflow/artifacts"))

    @field_validator("home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        return home.expanduser().absolute()

    @property
    def root(self) -> Path:
        """The home, absolute."""
        return self.home

    @property
    def trusted_keys(self) -> Path:
        """The folder of the public keys whose certificates are trusted."""
        return self.root / "keys" / "trusted"

    @property
    def signing_key(self) -> Path:
        """The private key that signs certificates; the serving processes never read it."""
        return self.root / "keys" / "signing.pem"

    @property
    def ports(self) -> dict[str, int]:
        """Every port that the embedded stack listens on, by the variable that sets it."""
        programs = ("airflow", "mlflow", "gateway", "postgres", "controller", "features")
        names = tuple(f"{program}_port" for program in programs)
        return {f"AIRWORTHY_{name.upper()}": getattr(self, name) for name in names}


@cache
def settings() -> Settings:
    """
    Return the settings of this process.

    Raises
    ------
    SettingsError
        If a variable has a wrong value; the message names it and the allowed values.
    """
    try:
        return Settings()
    except ValidationError as error:
        problems = []
        for detail in error.errors():
            path = ".".join(str(part) for part in detail["loc"])
            problems.append(f"AIRWORTHY_{path.upper()}: {detail['msg']}")
        text = "; ".join(problems)
        raise SettingsError(f"{text}. Correct the variable, or unset it for the default.") from error


def _local(data: dict[str, Any], port: str) -> str:
    return f"http://127.0.0.1:{data[port]}" if port in data else ""


def _gateway(data: dict[str, Any]) -> str:
    uri = _local(data, "gateway_port")
    return uri.replace("http:", "https:") if data.get("gateway_certificate") else uri


def _below(data: dict[str, Any], folder: str) -> str:
    return str(data["home"] / folder) if "home" in data else ""


def _embedded_pseudonym_key(data: dict[str, Any]) -> str:
    return pseudonym_key(data["home"]) if "home" in data else ""


def _embedded_database(data: dict[str, Any]) -> str:
    """Return the address of the embedded database; empty before the first start of the stack."""
    # A wrong home or port is reported by its own field.
    if not {"home", "postgres_port"} <= data.keys():
        return ""
    password = database_password(data["home"])
    port = data["postgres_port"]
    return f"postgresql+psycopg2://airworthy:{password}@127.0.0.1:{port}/airworthy" if password else ""
