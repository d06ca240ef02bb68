"""Feast's offline store on the lake: point-in-time joins on one version of a Delta table."""

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
    """Lake, and table versions by feature view; a view without one is read at its newest version."""

    type: str = "include.data.feature_store.offline_store.LakeOfflineStore"
    lake: Any
    versions: dict[str, int] = {}


class LakeOfflineStore(OfflineStore):
    """
    Offline store that reads feature views from the lake.

    Unlike Feast's file store, it returns one row per entity row, with nulls where nothing was known, and
    keeps duplicate entity rows.
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
        """Return a job that joins the newest row of each view up to `event_timestamp` to `entity_df`."""
        if not isinstance(entity_df, pd.DataFrame) or full_feature_names:
            raise DataError("entity_df must be a data frame, and full_feature_names is not supported.")
        entities: pd.DataFrame = entity_df
        store = config.offline_store

        def job() -> pa.Table:
            table = pa.Table.from_pandas(entities, preserve_index=False)
            for view in feature_views:
                prefix = f"{view.name}:"
                names = [ref.removeprefix(prefix) for ref in feature_refs if ref.startswith(prefix)]
                features = _join_as_of(view, store.lake, store.versions.get(view.name), entities, names)
                for name in names:
                    table = table.append_column(name, features[name])
            return table

        return LakeRetrievalJob(job)


class MemoryRegistryStore(RegistryStore):
    """A registry in memory, used by one process: historical reads need no shared registry."""

    def __init__(self, registry_config: RegistryConfig, repo_path: Path | None) -> None:
        self._content = Registry()

    def get_registry_proto(self) -> Registry:
        """Return the stored registry."""
        return self._content

    def update_registry_proto(self, registry_proto: Registry) -> None:
        """Store a registry."""
        self._content = registry_proto

    def teardown(self) -> None:
        """Delete the stored registry."""
        self._content = Registry()


class LakeRetrievalJob(RetrievalJob):
    """A join that runs when its result is read."""

    def __init__(self, job: Callable[[], pa.Table]) -> None:
        self._job = job

    @property
    def full_feature_names(self) -> bool:
        """Always False: features have their short names."""
        return False

    @property
    def on_demand_feature_views(self) -> list[Any]:
        """Always empty."""
        return []

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        return self._job()

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        frame: pd.DataFrame = self._job().to_pandas()
        return frame


def _join_as_of(
    view: Any, lake: Lake, version: int | None, entities: pd.DataFrame, names: list[str]
) -> pa.Table:
    """Return per entity row the newest row of the same key that is not later, or nulls: (n, len(names))."""
    keys = list(view.join_keys)
    time = view.batch_source.timestamp_field
    rows = lake.read(view.name, version=version, columns=[*dict.fromkeys([*keys, time, *names])])
    features = rows[[*keys, time]].assign(place=np.arange(len(rows))).sort_values(time, kind="stable")
    spine = entities[[*keys, ENTITY_TIME]].assign(order=np.arange(len(entities)))
    spine[ENTITY_TIME] = spine[ENTITY_TIME].astype(features[time].dtype)
    joined = pd.merge_asof(
        spine.sort_values(ENTITY_TIME, kind="stable"),
        features,
        left_on=ENTITY_TIME,
        right_on=time,
        by=keys,
        tolerance=view.ttl or None,
    ).sort_values("order")
    positions = pa.array(joined["place"].astype("Int64"), type=pa.int64())
    return pa.Table.from_pandas(rows[names], preserve_index=False).take(positions)
