"""What the commands of this package read: the lake, and the recorded facts of models."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from include.data.lake.delta_tables import Lake
    from include.governance.model_facts import ModelFacts


def open_lake() -> Lake:
    """Return the lake of the settings."""
    from include.data.lake.delta_tables import Lake
    from include.settings import settings

    return Lake(settings().lake_uri)


def profile_address(name: str) -> str | None:
    """Return the address of the profile page of a dataset or view; None if there is none."""
    from include.governance.profile.paths import profile_path
    from include.settings import settings
    from include.storage import reports

    path = profile_path(name)
    if not reports.has_report(settings().lake_uri, {}, path):
        return None
    return f"{settings().airflow_public_uri}/airworthy/reports/{path}"


def make_profile(name: str, *, as_json: bool) -> None:
    """Write the profile page of a dataset or view, and print its address."""
    from include.catalog import catalog
    from include.cli.output import print_json, print_text
    from include.governance.profile.page import write_profile
    from include.settings import settings

    path = write_profile(catalog(), open_lake(), name)
    address = f"{settings().airflow_public_uri}/airworthy/reports/{path}"
    if as_json:
        print_json({"name": name, "path": path, "profile": address})
    else:
        print_text(address)


def read_facts(models: Iterable[str]) -> dict[str, ModelFacts]:
    """
    Return the recorded facts of models.

    If the database or MLflow does not answer, the facts are missing, and standard error says so.
    """
    from sqlalchemy.exc import OperationalError

    from include.cli.champion import connect_to_database
    from include.errors import ServiceUnavailable, SettingsError
    from include.governance.model_facts import model_facts
    from include.modeling.registry.registry import Registry
    from include.settings import settings

    facts: dict[str, ModelFacts] = {}
    try:
        with connect_to_database().connect() as connection:
            registry = Registry(settings().mlflow_uri)
            for model in models:
                facts[model] = model_facts(connection, registry, model)
    except (OperationalError, ServiceUnavailable, SettingsError) as error:
        reason = error.orig if isinstance(error, OperationalError) else error
        sys.stderr.write(f"Champion, importance and drift are not shown: {str(reason).strip()}\n")
    return facts


def served_models() -> list[str]:
    """Return the models that have a desired state; none without a database."""
    from sqlalchemy.exc import OperationalError

    from include.cli.champion import connect_to_database
    from include.errors import SettingsError
    from include.release.rollout import read_all_states

    try:
        with connect_to_database().connect() as connection:
            return [state.use_case for state in read_all_states(connection)]
    except (OperationalError, SettingsError):
        return []
