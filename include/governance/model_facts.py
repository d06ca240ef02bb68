"""Facts of a model beside its declaration: its versions, the importance of its features, and their drift."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import select

from include.database.tables import monitoring_result
from include.modeling.explainability.importance import logged_importance
from include.release import rollout

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection

    from include.modeling.registry.registry import Registry


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """
    What is recorded about a model.

    Attributes
    ----------
    champion, challenger : int or None
        Versions that serve.
    version : int or None
        Version that `importance` belongs to: the champion, else the newest version.
    importance : mapping of str to float
        Permutation importance of each feature: how much worse the metric gets without it.
    drift : str
        Outcome of the last monitoring run: `drift`, `no_drift` or `inconclusive`; "" without a run.
    drifted : mapping of str to bool
        Whether each feature drifted in that run.
    monitored_at : datetime or None
        Time of that run.
    """

    champion: int | None = None
    challenger: int | None = None
    version: int | None = None
    importance: Mapping[str, float] = field(default_factory=dict)
    drift: str = ""
    drifted: Mapping[str, bool] = field(default_factory=dict)
    monitored_at: datetime | None = None


def model_facts(connection: Connection, registry: Registry, use_case: str) -> ModelFacts:
    """
    Return what the database and MLflow have recorded about a model.

    Raises
    ------
    ServiceUnavailable
        If MLflow does not answer.
    """
    state = rollout.read_state(connection, use_case)
    version = state.champion or _newest_version(registry, use_case)
    drift, drifted, monitored_at = _last_drift(connection, use_case)
    return ModelFacts(
        champion=state.champion,
        challenger=state.challenger,
        version=version,
        importance={} if version is None else logged_importance(registry, use_case, version),
        drift=drift,
        drifted=drifted,
        monitored_at=monitored_at,
    )


def _newest_version(registry: Registry, use_case: str) -> int | None:
    versions = registry.search_versions(use_case)
    return versions[0]["version"] if versions else None


def _last_drift(connection: Connection, use_case: str) -> tuple[str, dict[str, bool], datetime | None]:
    table = monitoring_result.c
    query = (
        select(table.at, table.figures["drift"].label("drift"))
        .where(table.use_case == use_case, table.figures.has_key("drift"))
        .order_by(table.id.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    if row is None or not row.drift:
        return "", {}, None
    return str(row.drift.get("outcome", "")), dict(row.drift.get("columns", {})), row.at
