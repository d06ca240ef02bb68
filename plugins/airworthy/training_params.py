"""Parameters of the training DAG: the day of the data, and what an experiment changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import Param

from include.catalog import catalog, declaration_module
from include.declarations.experiments import feature_choices, parameter_schema

if TYPE_CHECKING:
    from include.declarations import UseCase

SECTION = "Experiment"
DAY: dict[str, Any] = {"type": ["null", "string"], "format": "date"}


def training_params(use_case: UseCase) -> dict[str, Param]:
    """Return the parameters of a training DAG; Airflow validates them before a task starts."""
    build_model = declaration_module("use_cases", use_case.name).build_model
    schema = parameter_schema(build_model, use_case.tuning)
    features = feature_choices(use_case, catalog().feature_views)
    names = ", ".join(schema["properties"]) or "build_model() has none"
    return {
        "as_of": Param(
            None,
            description="Use only data from before this day; empty: the newest day whose labels have landed",
            **DAY,
        ),
        "reason": Param(
            None, type=["null", "string"], description="Why a version is trained, for its model card"
        ),
        "experiment": Param(
            False,
            type="boolean",
            section=SECTION,
            description="Train, evaluate and compare with the champion only: nothing is registered",
        ),
        "parameters": Param(
            None,
            section=SECTION,
            description=f"Parameters of the model, instead of tuning: {names}",
            **schema,
        ),
        "features": Param(
            None,
            type=["null", "array"],
            items={"type": "string", "enum": features},
            uniqueItems=True,
            minItems=1,
            examples=features,
            section=SECTION,
            description=f"All features; empty: the {len(use_case.features)} that are declared",
        ),
        "first_day": Param(
            None, section=SECTION, description="Use only data from this day on; empty: all of it", **DAY
        ),
    }
