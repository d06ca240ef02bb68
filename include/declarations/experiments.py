"""Experiments: trainings with other parameters, features or days than declared, which are never released."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from include.declarations.problems import problems_of
from include.declarations.training import Categorical
from include.declarations.use_cases import UseCase
from include.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from include.declarations.data.features import FeatureView
    from include.declarations.gates import AnyGate
    from include.declarations.training import AnyParameter, Tuning

# Parameters of a training's DAG run that only an experiment may have.
CHANGES = ("parameters", "features", "first_day")
JSON_TYPES: dict[type, str] = {bool: "boolean", int: "integer", float: "number", str: "string"}


@dataclass(frozen=True, slots=True)
class Experiment:
    """
    What an experiment changes.

    Parameters
    ----------
    parameters
        Parameters of `build_model()`; empty: the tuned ones or the defaults.
    features
        All features of the model; empty: those that are declared.
    first_day
        First day of the data; None: that of the tables.
    """

    parameters: Mapping[str, Any] = field(default_factory=dict)
    features: tuple[str, ...] = ()
    first_day: date | None = None

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> Experiment | None:
        """
        Return the experiment that the parameters of a DAG run describe; None if it is none.

        Raises
        ------
        DeclarationError
            If the run is no experiment, but has changes that only an experiment may have.
        """
        values = {name: params.get(name) for name in CHANGES}
        if not params.get("experiment"):
            forbidden = [name for name, value in values.items() if value]
            if forbidden:
                raise DeclarationError(
                    f"{', '.join(forbidden)}: a model that may be released is trained as declared. Trigger "
                    "the run with `experiment: true`, or leave them out and change the declaration."
                )
            return None
        first_day = values["first_day"]
        return cls(
            parameters=dict(values["parameters"] or {}),
            features=tuple(values["features"] or ()),
            first_day=date.fromisoformat(first_day) if first_day else None,
        )

    def to_json(self) -> str:
        """Return what is changed as JSON."""
        first_day = self.first_day.isoformat() if self.first_day else None
        changes = {"parameters": self.parameters, "features": self.features, "first_day": first_day}
        return json.dumps({name: value for name, value in changes.items() if value})

    def changed(self, declared: UseCase) -> UseCase:
        """
        Return the use case with the features of the experiment, without the gates that cannot judge them.

        Raises
        ------
        DeclarationError
            If the features do not fit the rest of the declaration.
        """
        if not self.features:
            return declared
        dropped = self.dropped_gates(declared)
        values = {name: getattr(declared, name) for name in UseCase.model_fields}
        values |= {
            "features": self.features,
            "request": tuple(name for name in declared.request if name in self.features),
            "gates": tuple(gate for gate in declared.gates if gate.name not in dropped),
            "allowed_determinants": {
                name: reason
                for name, reason in declared.allowed_determinants.items()
                if name in self.features
            },
        }
        try:
            return UseCase.model_validate(values)
        except ValidationError as error:
            raise DeclarationError(f"{declared.name}: {'; '.join(problems_of(error))}.") from error

    def dropped_gates(self, declared: UseCase) -> tuple[str, ...]:
        """Return the names of the gates that need a feature which the experiment leaves out."""
        if not self.features:
            return ()
        changed = declared.model_copy(update={"features": self.features})
        return tuple(gate.name for gate in declared.gates if not _fits(gate, changed))


def parameter_schema(build_model: Callable[..., Any], tuning: Tuning | None) -> dict[str, Any]:
    """
    Return the JSON schema of the parameters of `build_model()`.

    A tuned parameter has the declared range or choices, another one the type of its default.
    """
    arguments = signature(build_model).parameters.values()
    tuned = tuning.parameters if tuning else {}
    schemas: dict[str, dict[str, Any]] = {}
    for argument in arguments:
        if argument.name in tuned:
            schemas[argument.name] = _tuned_schema(tuned[argument.name])
        elif argument.default is not Parameter.empty:
            json_type = JSON_TYPES.get(type(argument.default))
            schemas[argument.name] = {"type": json_type} if json_type else {}
    takes_any = any(argument.kind is Parameter.VAR_KEYWORD for argument in arguments)
    return {"type": ["null", "object"], "properties": schemas, "additionalProperties": takes_any}


def feature_choices(use_case: UseCase, views: Mapping[str, FeatureView]) -> list[str]:
    """Return the columns that may be features: the declared ones, then the others of the feature views."""
    selected = [views[name] for name in use_case.feature_views]
    names = dict.fromkeys(use_case.features)
    entities: set[str] = set()
    counts: Counter[str] = Counter()
    for view in selected:
        entities.update(view.keys)
        counts.update(column.name for column in view.columns)
    for view in selected:
        for column in view.columns:
            if column.name in entities or column.dtype == "timestamp":
                continue
            is_unique = counts[column.name] == 1
            names.setdefault(column.name if is_unique else f"{view.name}.{column.name}")
    return list(names)


def _tuned_schema(parameter: AnyParameter) -> dict[str, Any]:
    if isinstance(parameter, Categorical):
        return {"enum": list(parameter.values)}
    json_type = "integer" if parameter.kind == "integer" else "number"
    return {"type": json_type, "minimum": parameter.low, "maximum": parameter.high}


def _fits(gate: AnyGate, use_case: UseCase) -> bool:
    try:
        gate.check(use_case)
    except ValueError:
        return False
    return True
