"""The settings of the project, read from `AIRWORTHY_*` variables."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from include.credentials import GATEWAY_SECRET_HEADER, database_password, gateway_secret, pseudonym_key
from include.declarations import Environment
from include.declarations.monitoring import AnyChannel
from include.errors import SettingsError

LOOPBACK = "127.0.0.1"


class Settings(BaseSettings):
    """`AIRWORTHY_*` variables; values that are not set are derived from `home` and the ports."""

    model_config = SettingsConfigDict(
        env_prefix="AIRWORTHY_", frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

    home: Path = Field(Path(".airworthy"), validate_default=True)
    """Folder of all state: database, lake, logs, keys, secrets."""
    env: Environment = "dev"
    """A rollout asks for approval in the environments that it names."""
    airflow_port: int = Field(8080, ge=1024, le=65535)
    """Airflow's pages and API."""
    mlflow_port: int = Field(5000, ge=1024, le=65535)
    """MLflow."""
    gateway_port: int = Field(8090, ge=1024, le=65535)
    """HAProxy, the address for callers of models."""
    postgres_port: int = Field(5433, ge=1024, le=65535)
    """PostgreSQL."""
    controller_port: int = Field(8091, ge=1024, le=65535)
    """The controller's metrics and list of models, which callers reach through the gateway."""
    features_port: int = Field(8092, ge=1024, le=65535)
    """Feast's feature server, which the model servers call."""
    require_tokens: bool = Field(default_factory=lambda data: data.get("env") != "dev")
    """Whether callers of the gateway need a token; by default in `uat` and `prod`."""
    gateway_certificate: Path | None = None
    """File of the certificate and private key of the gateway, in PEM; without one it speaks HTTP."""
    trusted_keys_folder: Path | None = None
    """Folder of the public keys whose certificates are trusted; by default in the home."""
    allow_pickle: bool = True
    """With `false`, model servers load only formats that cannot run code."""
    alert_channels: tuple[AnyChannel, ...] = ()
    """Channels, as JSON, that are told about what no use case with channels is told, such as ingestions."""
    model_server_host: str = LOOPBACK
    """Name of the host under which workers reach the model servers."""
    features_host: str = LOOPBACK
    """Address that the feature server listens on."""
    database_url: str = Field(default_factory=lambda data: _embedded_database(data), repr=False)
    """Address of the database `airworthy`; by default that of the embedded stack."""
    pseudonym_key: str = Field(default_factory=lambda data: _embedded_pseudonym_key(data), repr=False)
    """Key of the pseudonyms of personal values; by default generated in the home."""
    gateway_secret: str = Field(default_factory=lambda data: _embedded_gateway_secret(data), repr=False)
    """Secret that model servers ask of the gateway and the stack; without one they answer everybody."""
    airflow_uri: str = Field(default_factory=lambda data: _local(data, "airflow_port"))
    """Address of Airflow; by default follows from its port, as those of the other services do."""
    gateway_uri: str = Field(default_factory=lambda data: _gateway(data))
    """Address of the gateway."""
    features_uri: str = Field(default_factory=lambda data: _local(data, "features_port"))
    """Address of the feature server."""
    mlflow_uri: str = Field(default_factory=lambda data: _local(data, "mlflow_port"))
    """Address of MLflow."""
    airflow_public_uri: str = Field(default_factory=lambda data: data.get("airflow_uri", ""))
    """Address of Airflow for browsers, which links lead to; by default the address of Airflow."""
    mlflow_public_uri: str = Field(default_factory=lambda data: data.get("mlflow_uri", ""))
    """Address of MLflow for browsers."""
    gateway_public_uri: str = Field(default_factory=lambda data: data.get("gateway_uri", ""))
    """Address of the gateway for browsers."""
    lake_uri: str = Field(default_factory=lambda data: _below(data, "lake"))
    """Tables: a folder, by default below the home, or `s3://…`."""
    landing_uri: str = Field(default_factory=lambda data: _below(data, "landing"))
    """Files that land: a folder or `s3://…`, in the same way."""
    artifacts_uri: str = Field(default_factory=lambda data: _below(data, "mlflow/artifacts"))
    """Files of models: a folder or `s3://…`, in the same way."""

    @field_validator("gateway_secret")
    @classmethod
    def _is_printable(cls, secret: str) -> str:
        if not secret.isprintable() or not secret.isascii() or set(secret) & set(' "%'):
            raise ValueError("only printable ASCII characters other than a space, a quote and % are allowed")
        return secret

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
        return self.trusted_keys_folder or self.root / "keys" / "trusted"

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


def gateway_headers() -> dict[str, str]:
    """Return the headers that a request to a model server needs."""
    secret = settings().gateway_secret
    return {GATEWAY_SECRET_HEADER: secret} if secret else {}


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


def _embedded_gateway_secret(data: dict[str, Any]) -> str:
    return gateway_secret(data["home"]) if "home" in data else ""


def _embedded_database(data: dict[str, Any]) -> str:
    """Return the address of the embedded database; empty before the first start of the stack."""
    # A wrong home or port is reported by its own field.
    if not {"home", "postgres_port"} <= data.keys():
        return ""
    password = database_password(data["home"])
    port = data["postgres_port"]
    return f"postgresql+psycopg2://airworthy:{password}@127.0.0.1:{port}/airworthy" if password else ""
