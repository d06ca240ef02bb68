"""Apply `airflow_settings.yaml`, a file in Astro's format, through Airflow's API."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import yaml
from sqlalchemy import make_url

from include.credentials import load_credentials
from include.errors import ServiceUnavailable, SettingsError
from include.stack.airflow_api import AirflowApi
from include.stack.embedded import environment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from include.settings import Settings

FILE = environment.REPOSITORY / "airflow_settings.yaml"
VARIABLE = re.compile(r"\$\{(\w+)\}")


def apply(settings: Settings, file: Path = FILE) -> None:
    """
    Create or replace every connection, pool and variable that the file names.

    Raises
    ------
    SettingsError
        If the file cannot be read, or names a variable that is not set.
    ServiceUnavailable
        If Airflow does not answer, or refuses an entry.
    """
    api = AirflowApi(settings)
    section = read_settings(file, airflow_variables(settings))
    _overwrite(api, "connections", [_to_connection(entry) for entry in section.get("connections") or []])
    _overwrite(api, "pools", [_to_pool(entry) for entry in section.get("pools") or []])
    _overwrite(api, "variables", [_to_variable(entry) for entry in section.get("variables") or []])


def read_settings(file: Path, variables: Mapping[str, str]) -> dict[str, Any]:
    """
    Return the section `airflow` of the file, with every `${NAME}` replaced by its value in `variables`.

    Raises
    ------
    SettingsError
        If the file cannot be read, has no such section, or names a variable without a value.
    """
    try:
        content = yaml.safe_load(file.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise SettingsError(f"{file} cannot be read: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("airflow"), dict):
        raise SettingsError(f"{file}: expected one section `airflow` with connections, pools and variables.")
    expanded: dict[str, Any] = _expand(content["airflow"], variables, file)
    return expanded


def airflow_variables(settings: Settings) -> dict[str, str]:
    """Return the variables that the file may name: the settings, and the project's database."""
    url = settings.database_url
    if not url:
        url = environment.database_url("airworthy", settings, load_credentials(settings.root))
    database = make_url(url)
    return environment.shared(settings) | {
        "AIRWORTHY_DATABASE_HOST": str(database.host),
        "AIRWORTHY_DATABASE_PORT": str(database.port or 5432),
        "AIRWORTHY_DATABASE_NAME": str(database.database),
        "AIRWORTHY_DATABASE_USER": str(database.username),
        "AIRWORTHY_DATABASE_PASSWORD": str(database.password),
    }


def _expand(value: Any, variables: Mapping[str, str], file: Path) -> Any:
    if isinstance(value, dict):
        return {key: _expand(entry, variables, file) for key, entry in value.items()}
    if isinstance(value, list):
        return [_expand(entry, variables, file) for entry in value]
    if not isinstance(value, str):
        return value
    missing = [name for name in VARIABLE.findall(value) if name not in variables]
    if missing:
        raise SettingsError(f"{file}: ${{{missing[0]}}} is not set in the environment.")
    return VARIABLE.sub(lambda match: variables[match[1]], value)


def _to_connection(entry: dict[str, Any]) -> dict[str, Any]:
    extra = entry.get("conn_extra")
    port = entry.get("conn_port")
    return {
        "connection_id": entry["conn_id"],
        "conn_type": entry["conn_type"],
        "host": entry.get("conn_host"),
        "schema": entry.get("conn_schema"),
        "login": entry.get("conn_login"),
        "password": entry.get("conn_password"),
        "port": int(port) if port else None,
        "extra": json.dumps(extra) if isinstance(extra, dict) else extra,
    }


def _to_pool(entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": entry["pool_name"],
        "slots": int(entry["pool_slot"]),
        "description": entry.get("pool_description"),
        "include_deferred": False,
    }


def _to_variable(entry: dict[str, Any]) -> dict[str, Any]:
    return {"key": entry["variable_name"], "value": entry["variable_value"]}


def _overwrite(api: AirflowApi, kind: str, entities: list[dict[str, Any]]) -> None:
    if not entities:
        return
    action = {"action": "create", "action_on_existence": "overwrite", "entities": entities}
    result = api.patch(f"/{kind}", {"actions": [action]})["create"]
    if result["errors"]:
        raise ServiceUnavailable(f"Airflow refused {kind} of {FILE.name}: {result['errors']}")
