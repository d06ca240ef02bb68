"""Feast's definitions of a feature view, derived from its declaration."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from feast import Entity, FeatureView, Field, FileSource, Project, ValueType
from feast.data_format import DeltaFormat
from feast.types import Bool, Float64, Int64, String, UnixTimestamp

if TYPE_CHECKING:
    from include import declarations

PROJECT = "airworthy"
DAY = "day"
# Publication time of an online row: of two values of one event, the later published one counts.
PUBLISHED_AT = "published_at"
# Feast's name for the time of an entity row.
ENTITY_TIME = "event_timestamp"
_TYPES = {
    "string": String,
    "integer": Int64,
    "number": Float64,
    "boolean": Bool,
    "timestamp": UnixTimestamp,
}
_KEYS = {"string": ValueType.STRING, "integer": ValueType.INT64}

Definition = Project | Entity | FeatureView


def definitions(view: declarations.FeatureView, lake_uri: str) -> list[Definition]:
    """Return Feast's project, entity and feature view for a declared view, whose source is a Delta table."""
    types = {column.name: column.dtype for column in view.columns}
    entity = Entity(name=view.entity, join_keys=[view.entity], value_type=_KEYS[types[view.entity]])
    source = FileSource(
        name=view.name,
        path=f"{lake_uri}/{view.name}",
        file_format=DeltaFormat(),
        timestamp_field=view.time,
        created_timestamp_column=PUBLISHED_AT,
        owner=view.owner,
    )
    fields = [Field(name=name, dtype=_TYPES[dtype]) for name, dtype in types.items() if name != view.time]
    feature_view = FeatureView(
        name=view.name,
        description=view.description,
        owner=view.owner,
        entities=[entity],
        # Zero means no expiry: a value counts until there is a newer one.
        ttl=timedelta(0),
        schema=[*fields, Field(name=DAY, dtype=String)],
        source=source,
        online=view.online is not None,
    )
    return [Project(name=PROJECT, description="Airworthy's feature views"), entity, feature_view]


def names(view: declarations.FeatureView) -> list[str]:
    """Return the columns that Feast serves: those of the view without entity and event time, and `day`."""
    others = {view.entity, view.time}
    return [*(column.name for column in view.columns if column.name not in others), DAY]
