"""Feast's definitions of a feature view, derived from its declaration."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from feast import Entity, FeatureView, Field, FileSource, Project, ValueType
from feast.data_format import DeltaFormat
from feast.types import Bool, Float64, Int64, String

from include.data.feature_store.columns import join_key, names
from include.declarations.base import INTERNAL_PREFIX

if TYPE_CHECKING:
    from include import declarations

PROJECT = "airworthy"
# Publication time of an online row: of two values of one event, the later published one counts.
PUBLISHED_AT = f"{INTERNAL_PREFIX}published_at"
# A timestamp is online as microseconds since 1970: Feast's own type has whole seconds.
_TYPES = {"string": String, "integer": Int64, "number": Float64, "boolean": Bool, "timestamp": Int64}
_KEYS = {"string": ValueType.STRING, "integer": ValueType.INT64}

Definition = Project | Entity | FeatureView


def definitions(view: declarations.FeatureView, lake_uri: str) -> list[Definition]:
    """Return Feast's project, entities and feature view of a declared view; its source is a Delta table."""
    types = {column.name: column.dtype for column in view.columns}
    entities = [
        Entity(name=join_key(view, name), join_keys=[join_key(view, name)], value_type=_KEYS[types[name]])
        for name in view.keys
    ]
    source = FileSource(
        name=view.name,
        path=f"{lake_uri}/{view.name}",
        file_format=DeltaFormat(),
        timestamp_field=view.time,
        created_timestamp_column=PUBLISHED_AT,
        owner=view.owner,
    )
    fields = [Field(name=join_key(view, name), dtype=_TYPES[types[name]]) for name in view.keys]
    fields += [Field(name=name, dtype=_TYPES[types.get(name, "string")]) for name in names(view)]
    feature_view = FeatureView(
        name=view.name,
        description=view.description,
        owner=view.owner,
        entities=entities,
        # Zero means no expiry: a value counts until there is a newer one.
        ttl=timedelta(0),
        schema=fields,
        source=source,
        online=view.online is not None,
    )
    return [Project(name=PROJECT, description="Airworthy's feature views"), *entities, feature_view]
