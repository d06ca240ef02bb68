"""Selection of a use case's features: the view and column of each, and the rows that they are joined to."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003  pydantic reads the annotations of fields
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from include.declarations.data.columns import Column  # noqa: TC001
from include.declarations.data.features import FeatureView  # noqa: TC001
from include.errors import DeclarationError
from include.partitions import Granularity  # noqa: TC001

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.declarations.data.datasets import Dataset
    from include.declarations.use_cases import UseCase


class Origin(NamedTuple):
    """Table and column that a feature comes from."""

    table: str
    column: str


@dataclass(frozen=True, slots=True)
class Spine:
    """
    Rows that a model predicts, to which features are joined: entity columns and the time of the event.

    Parameters
    ----------
    table
        The use case's first feature view, or, with `label.time`, the label's dataset.
    keys
        Columns that identify a row within its day.
    entities
        Entity columns of all views.
    time
        Column with the time of the event.
    horizon
        The prediction is made so long before that time.
    types
        Type of each column of the table.
    granularity
        Partitions of the table.
    has_labels
        Whether it is the label's dataset.
    """

    table: str
    keys: tuple[str, ...]
    entities: tuple[str, ...]
    time: str
    horizon: timedelta
    types: Mapping[str, str]
    granularity: Granularity
    has_labels: bool

    @classmethod
    def of(
        cls, use_case: UseCase, views: Mapping[str, FeatureView], datasets: Mapping[str, Dataset]
    ) -> Spine:
        """Return the rows that a use case predicts."""
        first = views[use_case.feature_view]
        columns: dict[str, None] = {}
        for name in use_case.feature_views:
            columns |= dict.fromkeys(views[name].keys)
        entities = tuple(columns)
        if use_case.label.time is None:
            types = {column.name: column.dtype for column in first.columns}
            return cls(
                first.name, first.keys, entities, first.time, first.horizon, types, first.granularity,
                has_labels=False,
            )  # fmt: skip
        labels = datasets[use_case.label.dataset]
        types = {column.name: column.dtype for column in labels.columns}
        time = use_case.label.time
        return cls(
            labels.name, labels.key, entities, time, timedelta(0), types, labels.granularity, has_labels=True
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of a row besides its features."""
        return tuple(dict.fromkeys((*self.keys, *self.entities, self.time)))

    @property
    def label_keys(self) -> tuple[str, ...]:
        """Columns by which, with time or day, a label is joined to a prediction."""
        return self.entities if self.has_labels else self.keys


@dataclass(frozen=True, slots=True)
class FeatureSelection:
    """
    Features of a use case and their origins.

    Parameters
    ----------
    views
        Feature views, in the order of the declaration.
    spine
        Rows that the features are joined to.
    origins
        Origin of each feature and of each auxiliary column, by its name in the use case.
    columns
        Declaration of each of them, under that name.
    request
        Features that callers always send; in training they come from the spine.
    entity_types
        Type of each entity column of the views.
    """

    views: tuple[FeatureView, ...]
    spine: Spine
    origins: Mapping[str, Origin]
    columns: Mapping[str, Column]
    request: tuple[str, ...]
    entity_types: Mapping[str, str]

    @classmethod
    def of(
        cls, use_case: UseCase, views: Mapping[str, FeatureView], datasets: Mapping[str, Dataset]
    ) -> FeatureSelection:
        """
        Return the selection of a use case.

        Raises
        ------
        DeclarationError
            If a feature does not exist, is in several views or is an entity, an entity column has two types,
            or the spine lacks a column.
        """
        selected = tuple(views[name] for name in use_case.feature_views)
        entity_types = _entity_types(selected)
        spine = Spine.of(use_case, views, datasets)
        _require_spine_columns(spine, entity_types, spine.types)
        tables = {view.name: _columns_of(view) for view in selected}
        spine_table = datasets[spine.table] if spine.has_labels else selected[0]
        sent = {spine.table: _columns_of(spine_table)}
        origins = {}
        columns = {}
        for name, field in _fields(use_case).items():
            is_sent = name in use_case.request
            candidates = sent if is_sent else tables
            origin = _origin("request" if is_sent else field, name, candidates)
            declared = candidates[origin.table][origin.column]
            origins[name] = origin
            columns[name] = declared if declared.name == name else declared.model_copy(update={"name": name})
        return cls(selected, spine, origins, columns, use_case.request, entity_types)

    @property
    def tables(self) -> tuple[str, ...]:
        """Tables that the rows are read from: the spine's first."""
        return tuple(dict.fromkeys((self.spine.table, *(view.name for view in self.views))))

    def looked_up(self) -> dict[str, FeatureView]:
        """Return the view of each column that can be looked up online."""
        online = {view.name: view for view in self.views if view.online}
        return {
            name: online[origin.table]
            for name, origin in self.origins.items()
            if origin.table in online and name not in self.request
        }

    def columns_of(self, table: str, names: Sequence[str]) -> dict[str, str]:
        """Return the columns of a table that are among these features, by their names in the use case."""
        return {name: self.origins[name].column for name in names if self.origins[name].table == table}


def _entity_types(views: tuple[FeatureView, ...]) -> dict[str, str]:
    types: dict[str, str] = {}
    for view in views:
        declared = {column.name: column.dtype for column in view.columns}
        for name in view.keys:
            if types.setdefault(name, declared[name]) != declared[name]:
                raise DeclarationError(
                    f"feature_views: the entity {name} is {types[name]} in one view and {declared[name]} in "
                    f"{view.name}: rename one of them, or give both one type"
                )
    return types


def _require_spine_columns(spine: Spine, entity_types: Mapping[str, str], types: Mapping[str, str]) -> None:
    if types.get(spine.time) != "timestamp":
        raise DeclarationError(f"label.time: {spine.table} has no timestamp {spine.time}")
    for name, dtype in entity_types.items():
        if name not in types:
            raise DeclarationError(
                f"feature_views: {spine.table}, whose rows the features are joined to, lacks the entity "
                f"{name}; it has {', '.join(sorted(types))}"
            )
        if types[name] != dtype:
            raise DeclarationError(
                f"feature_views: the entity {name} is {types[name]} in {spine.table}, and {dtype} in its view"
            )


def _fields(use_case: UseCase) -> dict[str, str]:
    """Return the field that names each column of the views, features first."""
    fields = dict.fromkeys(use_case.features, "features")
    for name in use_case.baseline_by:
        fields.setdefault(name, "baseline_by")
    for gate in use_case.gates:
        for name in gate.columns:
            fields.setdefault(name, f"gates.{gate.name}")
    return fields


def _origin(field: str, name: str, tables: Mapping[str, Mapping[str, Column]]) -> Origin:
    """Return the origin of a column that is in one of these tables; they have columns by name."""
    prefix, _, column = name.rpartition(".")
    candidates = {table: columns for table, columns in tables.items() if not prefix or table == prefix}
    if not candidates:
        raise DeclarationError(
            f"{field}: {name!r} names none of the use case's tables; there are {', '.join(tables)}"
        )
    having = [table for table, columns in candidates.items() if column in columns]
    if not having:
        choices = ", ".join(sorted(set().union(*candidates.values())))
        raise DeclarationError(f"{field}: {name!r} does not exist; there are {choices}")
    if len(having) > 1:
        choices = ", ".join(f"{table}.{column}" for table in having)
        raise DeclarationError(f"{field}: {name!r} is in several views; write one of {choices}")
    return Origin(having[0], column)


def _columns_of(table: FeatureView | Dataset) -> dict[str, Column]:
    return {column.name: column for column in table.columns}
