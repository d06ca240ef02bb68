"""A SageMaker endpoint as it should be: names, variants and weights that follow from a desired state."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from include.release.rollout import FULL_WEIGHT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.declarations import SageMaker
    from include.release.rollout import ReleaseState


@dataclass(frozen=True, slots=True)
class Plan:
    """
    Variants of an endpoint by version.

    `weights` are the shares (0 to 1) of the requests. `shadow` answers copies of the share `copies`, which
    callers do not see.
    """

    weights: Mapping[int, float]
    shadow: int | None = None
    copies: float = 0.0

    @property
    def versions(self) -> list[int]:
        """All versions, in order."""
        return sorted({*self.weights, *([self.shadow] if self.shadow is not None else [])})


def plan_of(state: ReleaseState) -> Plan:
    """
    Return the variants that a desired state asks for; none if no version may answer.

    SageMaker answers no fallback but a version: a model that is switched off otherwise has no endpoint.
    """
    if state.retired:
        return Plan({})
    if state.fallback is not None:
        version = state.fallback["version"] if state.fallback["kind"] == "previous" else None
        return Plan({}) if version is None else Plan({version: 1.0})
    champion = state.champion
    challenger = state.challenger
    if champion is None or challenger is None:
        only = champion if champion is not None else challenger
        return Plan({}) if only is None else Plan({only: 1.0})
    if state.shadow_share and not state.weight:
        return Plan({champion: 1.0}, challenger, state.shadow_share)
    share = state.weight / FULL_WEIGHT
    return Plan({champion: 1 - share, challenger: share})


def endpoint_name(environment: str, use_case: str) -> str:
    """Return the name of a use case's endpoint; SageMaker takes no underscores."""
    return f"airworthy-{environment}-{use_case.replace('_', '-')}"


def variant_name(version: int) -> str:
    """Return the name of a version's variant."""
    return f"v{version}"


def model_name(endpoint: str, version: int, model: Mapping[str, Any]) -> str:
    """Return the name of a version's SageMaker model, which changes with its content."""
    return f"{endpoint}-v{version}-{_content_digest(model)[:8]}"


def owns_model(endpoint: str, name: str) -> bool:
    """Return whether a SageMaker model was made for an endpoint."""
    return re.fullmatch(rf"{re.escape(endpoint)}-v\d+-[0-9a-f]{{8}}", name) is not None


def owns_config(endpoint: str, name: str) -> bool:
    """Return whether an endpoint configuration was made for an endpoint."""
    return re.fullmatch(rf"{re.escape(endpoint)}-[0-9a-f]{{12}}", name) is not None


def endpoint_config(
    endpoint: str, plan: Plan, models: Mapping[int, str], target: SageMaker, replicas: int
) -> dict[str, Any]:
    """
    Return the endpoint configuration of a plan, as boto3 takes it.

    Its name is that of its content without the weights, which can be changed at an endpoint in place.
    """

    def variant(version: int) -> dict[str, Any]:
        return {
            "VariantName": variant_name(version),
            "ModelName": models[version],
            "InitialInstanceCount": replicas,
            "InstanceType": target.instance_type,
        }

    content: dict[str, Any] = {"ProductionVariants": [variant(version) for version in sorted(plan.weights)]}
    if plan.shadow is not None:
        # Relative to the weight of the variant that callers see.
        content["ShadowProductionVariants"] = [variant(plan.shadow) | {"InitialVariantWeight": plan.copies}]
    name = f"{endpoint}-{_content_digest(content)[:12]}"
    for production in content["ProductionVariants"]:
        production["InitialVariantWeight"] = plan.weights[int(production["VariantName"][1:])]
    return {"EndpointConfigName": name} | content


def _content_digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
