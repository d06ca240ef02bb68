"""Removal from the feature store: of a whole feature view, or of single entities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.type_map import python_values_to_proto_values

from include.data.feature_store.client import open_store
from include.data.feature_store.columns import join_key
from include.data.feature_store.definitions import PROJECT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import URL

    from include.declarations import FeatureView


def remove_view(name: str, url: str | URL) -> bool:
    """
    Delete the online features of a view and its registration; return False if it is not registered.

    Raises
    ------
    ServiceUnavailable
        If the database does not answer.
    """
    with open_store(url) as store:
        registered = {view.name: view for view in store.registry.list_feature_views(PROJECT)}
        if name not in registered:
            return False
        store.provider.online_store.update(store.config, [registered[name]], [], [], [], partial=True)
        store.registry.delete_feature_view(name, PROJECT)
    return True


def remove_keys(view: FeatureView, url: str | URL, keys: Sequence[Mapping[str, Any]]) -> int:
    """
    Delete the online features of some entities, and return the number of deleted values.

    Parameters
    ----------
    keys
        Value of each entity column, of each entity.

    Raises
    ------
    ServiceUnavailable
        If the database does not answer.
    """
    with open_store(url) as store:
        registered = {
            registered.name: registered for registered in store.registry.list_feature_views(PROJECT)
        }
        if view.name not in registered or not keys:
            return 0
        encoded = [_entity_key(view, key) for key in keys]
        deleted: int = store.provider.online_store.delete_entities(
            store.config, registered[view.name], encoded
        )
    return deleted


def _entity_key(view: FeatureView, key: Mapping[str, Any]) -> EntityKey:
    values = [python_values_to_proto_values([value])[0] for value in key.values()]
    return EntityKey(join_keys=[join_key(view, name) for name in key], entity_values=values)
