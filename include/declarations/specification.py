"""Specification of a version: what was declared when it was trained."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)

from include.declarations.data.features import as_dataset
from include.declarations.gates import AnyGate
from include.declarations.relations.feature_selection import FeatureSelection
from include.declarations.use_cases import UseCase
from include.errors import DataError
from include.partitions import Availability, Calendar, Granularity, KnownFrom

if TYPE_CHECKING:
    from include.declarations.data.datasets import Dataset
    from include.declarations.data.features import FeatureView

Frozen = TypeVar("Frozen", bound=BaseModel)

# How a model is released and watched, and where its tasks run, is decided today, for every version.
OPERATIONAL_FIELDS = (
    "rollout", "drift", "retrain", "slo", "schedules", "annotation", "alerts", "resources",
)  # fmt: skip
OPERATIONAL_SERVING_FIELDS = ("replicas", "target")
# A change of these makes no other model.
DESCRIPTIVE_FIELDS = ("owner", "description", "tags")
# Checks of the rows that a view publishes: what was published has passed them.
AVAILABILITY_FIELDS = ("granularity", "time_zone", "known_from", "lag_days")
CHECK_FIELDS = (
    "volume", "quarantine_limit", "freshness", "stability", "foreign_keys", "expectations",
)  # fmt: skip


class Specification(BaseModel):
    """
    What a version was trained from: its use case, and the features and label as they were resolved.

    It is part of the snapshot and of the certificate, so that a version can be read, compared, monitored and
    reproduced whatever is declared since.

    Parameters
    ----------
    version
        Version of this format.
    use_case
        The declaration; the fields of `OPERATIONAL_FIELDS`, and those of its `serving` in
        `OPERATIONAL_SERVING_FIELDS`, have their defaults, see `governed_by`.
    selection
        Features and auxiliary columns with their origins and types, and the rows that they are joined to.
    columns
        Features and auxiliary columns, in the order of a snapshot's rows.
    entity
        Columns of the entity of the first feature view.
    granularity, time_zone, known_from, lag_days
        Partitions of the label's dataset, and when they are known; see `availability`.
    nullable
        Features that may be missing: declared so, joined from a further view, or missing in the snapshot.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1
    use_case: UseCase
    selection: FeatureSelection
    columns: tuple[str, ...]
    entity: tuple[str, ...]
    granularity: Granularity = "day"
    time_zone: str | None = None
    known_from: KnownFrom = "end"
    lag_days: int = 0
    nullable: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, use_case: UseCase, views: Mapping[str, FeatureView], datasets: Mapping[str, Dataset]
    ) -> Specification:
        """
        Return the specification of a use case as it is declared.

        Raises
        ------
        DeclarationError
            If its features do not fit the views.
        """
        selection = FeatureSelection.of(use_case, views, datasets)
        frozen_views = tuple(_with_defaults(view, CHECK_FIELDS) for view in selection.views)
        label_rows = datasets.get(use_case.label.dataset)
        if label_rows is None:
            label_rows = as_dataset(views[use_case.label.dataset], views, datasets)
        return cls(
            use_case=_without_policies(use_case),
            selection=replace(selection, views=frozen_views),
            columns=tuple(selection.origins),
            entity=views[use_case.feature_view].keys,
            **{name: getattr(label_rows, name) for name in AVAILABILITY_FIELDS},
            nullable=tuple(name for name in use_case.features if _may_be_null(selection, name)),
        )

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> Specification:
        """
        Return the specification that `content` holds, from `model_dump(mode="json")`.

        Raises
        ------
        DataError
            If it is none, or one of a later format.
        """
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise DataError(
                f"The specification of the version cannot be read: {error}. Use the code of its certificate, "
                "or train a new version."
            ) from error

    @field_validator("use_case", mode="wrap")
    @classmethod
    def _accept_former_rules(cls, value: Any, handler: ValidatorFunctionWrapHandler) -> UseCase:
        """Accept a use case that today's rules refuse: it was valid when its version was trained."""
        if isinstance(value, UseCase):
            return value
        try:
            return handler(value)  # type: ignore[no-any-return]
        except ValidationError:
            if not isinstance(value, Mapping):
                raise
            return _without_present_rules(value)

    @model_validator(mode="after")
    def _keep_order(self) -> Self:
        """Restore the order of the columns: JSON with sorted keys does not keep it."""
        selection = self.selection
        if tuple(selection.origins) != self.columns:
            ordered = replace(
                selection,
                origins={name: selection.origins[name] for name in self.columns},
                columns={name: selection.columns[name] for name in self.columns},
            )
            # The model is frozen: only object.__setattr__ can complete it.
            object.__setattr__(self, "selection", ordered)
        return self

    @property
    def availability(self) -> Availability:
        """When partitions of the label's dataset are known."""
        calendar = Calendar(self.granularity, self.time_zone or "UTC")
        return Availability(calendar, self.known_from, self.lag_days)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features, in the order of training."""
        return self.use_case.features

    @property
    def digest(self) -> str:
        """SHA-256 over all that shapes the model and its judgement; a description or an owner does not."""
        content = self.model_dump(mode="json", exclude={"use_case": set(DESCRIPTIVE_FIELDS)})
        selection = content["selection"]
        for view in selection["views"]:
            for name in DESCRIPTIVE_FIELDS:
                view.pop(name, None)
            for column in view["columns"]:
                column.pop("description", None)
        for column in selection["columns"].values():
            column.pop("description", None)
        # Whether values are missing is a property of the rows.
        del content["nullable"]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def governed_by(self, declared: UseCase) -> UseCase:
        """Return the use case with the release and monitoring policies that are declared today."""
        policies = {name: getattr(declared, name) for name in OPERATIONAL_FIELDS}
        serving = {name: getattr(declared.serving, name) for name in OPERATIONAL_SERVING_FIELDS}
        policies["serving"] = self.use_case.serving.model_copy(update=serving)
        return self.use_case.model_copy(update=policies)

    def with_missing(self, names: set[str]) -> Specification:
        """Return the specification where the features of these names may be missing, too."""
        nullable = (name for name in self.features if name in self.nullable or name in names)
        return self.model_copy(update={"nullable": tuple(nullable)})

    def differences(self, other: Specification) -> dict[str, tuple[str, str]]:
        """Return the values of each field, by its name, that is not the same in `other`."""
        own_fields = _flat_fields(self)
        other_fields = _flat_fields(other)
        names = dict.fromkeys((*own_fields, *other_fields))
        values = {name: (own_fields.get(name, ""), other_fields.get(name, "")) for name in names}
        return {name: pair for name, pair in values.items() if pair[0] != pair[1]}

    def incomparable(self, other: Specification) -> str:
        """Return why predictions of both cannot be compared; "" if they predict the same."""
        own = self.use_case
        others = other.use_case
        if own.task != others.task:
            return f"the task was {others.task}, and is {own.task} now"
        # It names the column, the bounds and the classes.
        if own.label.description != others.label.description:
            return f"the label was {others.label.description}, and is {own.label.description} now"
        return ""


def _without_policies(use_case: UseCase) -> UseCase:
    serving = _with_defaults(use_case.serving, OPERATIONAL_SERVING_FIELDS)
    return _with_defaults(use_case, OPERATIONAL_FIELDS).model_copy(update={"serving": serving})


def _with_defaults(declared: Frozen, names: tuple[str, ...]) -> Frozen:
    fields = type(declared).model_fields
    return declared.model_copy(update={name: fields[name].get_default() for name in names})


def _may_be_null(selection: FeatureSelection, name: str) -> bool:
    """Return whether a feature is declared nullable, or joined: a row may lack an entity of that view."""
    return selection.columns[name].nullable or selection.origins[name].table != selection.spine.table


def _without_present_rules(content: Mapping[str, Any]) -> UseCase:
    """Return a use case whose fields are typed, without the gates that cannot be read and without checks."""
    fields = UseCase.model_fields
    gates = [gate for gate in content.get("gates", ()) if _is_readable_gate(gate)]
    values = {name: value for name, value in content.items() if name in fields and name != "gates"}
    typed = {
        name: TypeAdapter[Any](fields[name].annotation or Any).validate_python(values[name])
        for name in values
    }
    gate_tuple = TypeAdapter(tuple[AnyGate, ...]).validate_python(gates)
    return UseCase.model_construct(**typed, gates=gate_tuple)


def _is_readable_gate(gate: Any) -> bool:
    try:
        TypeAdapter(AnyGate).validate_python(gate)
    except ValidationError:
        return False
    return True


def _flat_fields(specification: Specification) -> dict[str, str]:
    """Return the fields that shape a model, by name, as JSON."""
    use_case = specification.use_case.model_dump(
        mode="json", exclude={*DESCRIPTIVE_FIELDS, *OPERATIONAL_FIELDS}
    )
    selection = specification.selection
    columns = {name: selection.columns[name].dtype for name in use_case["features"]}
    origins = {name: ".".join(selection.origins[name]) for name in use_case["features"]}
    content = use_case | {"types of features": columns, "origins of features": origins}
    return {name: json.dumps(value, sort_keys=True) for name, value in content.items()}
