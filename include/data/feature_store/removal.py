"""Removal of a feature view from the feature store: its registry and its online table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.data.feature_store.client import open_store
from include.data.feature_store.definitions import PROJECT

if TYPE_CHECKING:
    from sqlalchemy import URL


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
