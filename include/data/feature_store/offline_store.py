"""Feast's offline store on the lake: a Delta table at one version, joined as of each row's moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalJob
from feast.infra.registry.registry_store import RegistryStore
from feast.protos.feast.core.Registry_pb2 import Registry
from feast.repo_config import FeastConfigBaseModel

from include.data.feature_store.definitions import ENTITY_TIME
from include.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from feast import RepoConfig
    from feast.infra.registry.base_registry import BaseRegistry
    from feast.repo_config import RegistryConfig

    from include.data.lake.delta_tables import Lake


class LakeOfflineStoreConfig(FeastConfigBaseModel):
    """The lake, and the version at which each feature view is read; the newest, if it names none."""

    type: str = "include.data.feature_store.offline_store.LakeOfflineStore"
    lake: Any
    versions: dict[str, int] = {}


class LakeOfflineStore(OfflineStore):
    """
    Reads feature views from the lake.

    Unlike Feast's file store it returns one row for each that is asked for, with nulls where nothing was
    known, also for rows that are asked for twice.
    """

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[Any],
        feature_refs: list[str],
        entity_df: pd.DataFrame | str | None,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
    ) -> RetrievalJob:
        """Return a job that joins to `entity_df` the newest row of each view up to its `event_timestamp`."""
        if not isinstance(entity_df, pd.DataFrame) or full_feature_names:
            raise DataError("Features are asked of the lake with a frame of entities, by their short names.")
        entities: pd.DataFrame = entity_df
        store = config.offline_store

        def job() -> pa.Table:
            table = pa.Table.from_pandas(entities, preserve_index=False)
            for view in feature_views:
                prefix = f"{view.name}:"
                names = [ref.removeprefix(prefix) for ref in feature_refs if ref.startswith(prefix)]
                found = _as_of(view, store.lake, store.versions.get(view.name), entities, names)
                for name in names:
                    table = table.append_column(name, found[name])
            return table

        return LakeRetrievalJob(job)


class MemoryRegistryStore(RegistryStore):
    """A registry that nobody shares: the past is read by what is declared now."""

    def __init__(self, registry_config: RegistryConfig, repo_path: Path | None) -> None:
        self._content = Registry()

    def get_registry_proto(self) -> Registry:
        """Return what was put there."""
        return self._content

    def update_registry_proto(self, registry_proto: Registry) -> None:
        """Put something there."""
        self._content = registry_proto

    def teardown(self) -> None:
        """Leave nothing behind."""
        self._content = Registry()


class LakeRetrievalJob(RetrievalJob):
    """The join, done when its result is asked for."""

    def __init__(self, job: Callable[[], pa.Table]) -> None:
        self._job = job

    @property
    def full_feature_names(self) -> bool:
        """Features have their short names."""
        return False

    @property
    def on_demand_feature_views(self) -> list[Any]:
        """There are none."""
        return []

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        return self._job()

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        frame: pd.DataFrame = self._job().to_pandas()
        return frame


def _as_of(view: Any, lake: Lake, version: int | None, entities: pd.DataFrame, names: list[str]) -> pa.Table:
    """Return one row per entity row: the newest of the same key whose time is not later, else nulls."""
    keys, time = list(view.join_keys), view.batch_source.timestamp_field
    rows = lake.read(view.name, version=version, columns=[*dict.fromkeys([*keys, time, *names])])
    known = rows[[*keys, time]].assign(place=np.arange(len(rows))).sort_values(time, kind="stable")
    asked = entities[[*keys, ENTITY_TIME]].assign(order=np.arange(len(entities)))
    asked[ENTITY_TIME] = asked[ENTITY_TIME].astype(known[time].dtype)
    found = pd.merge_asof(
        asked.sort_values(ENTITY_TIME, kind="stable"),
        known,
        left_on=ENTITY_TIME,
        right_on=time,
        by=keys,
        tolerance=view.ttl or None,
    ).sort_values("order")
    places = pa.array(found["place"].astype("Int64"), type=pa.int64())
    return pa.Table.from_pandas(rows[names], preserve_index=False).take(places)
