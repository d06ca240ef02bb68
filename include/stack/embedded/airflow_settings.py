"""Apply `airflow_settings.yaml` (Astro's format) through Airflow's API; what is there is set again."""

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
    Set every connection, pool and variable that the file names.

    :raises SettingsError: when the file cannot be used, or names a variable that is not set
    :raises ServiceUnavailable: when Airflow refuses an entry
    """
    api, wanted = AirflowApi(settings), read_settings(file, airflow_variables(settings))
    _set(api, "connections", [_connection(entry) for entry in wanted.get("connections") or []])
    _set(api, "pools", [_pool(entry) for entry in wanted.get("pools") or []])
    _set(api, "variables", [_variable(entry) for entry in wanted.get("variables") or []])


def read_settings(file: Path, variables: Mapping[str, str]) -> dict[str, Any]:
    """
    Return the file's section `airflow` with every `${NAME}` replaced by what the environment says.

    :raises SettingsError: naming the file, and the variable or the line
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
    """Return what the file may name: the settings, and where the project's database is."""
    url = settings.database_url or environment.database_url(
        "airworthy", settings, load_credentials(settings.root)
    )
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


def _connection(entry: dict[str, Any]) -> dict[str, Any]:
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


def _pool(entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": entry["pool_name"],
        "slots": int(entry["pool_slot"]),
        "description": entry.get("pool_description"),
        "include_deferred": False,
    }


def _variable(entry: dict[str, Any]) -> dict[str, Any]:
    return {"key": entry["variable_name"], "value": entry["variable_value"]}


def _set(api: AirflowApi, kind: str, entities: list[dict[str, Any]]) -> None:
    if not entities:
        return
    action = {"action": "create", "action_on_existence": "overwrite", "entities": entities}
    result = api.patch(f"/{kind}", {"actions": [action]})["create"]
    if result["errors"]:
        raise ServiceUnavailable(f"Airflow refused {kind} of {FILE.name}: {result['errors']}")
