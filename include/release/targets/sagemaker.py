"""SageMaker as a target: models, endpoint configurations and endpoints follow the desired states."""

from __future__ import annotations

import tarfile
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from include.declarations import SageMaker
from include.errors import AirworthyError, DeclarationError
from include.release.targets import cloudwatch
from include.release.targets.aws import aws_client, find, list_all, translate_aws_errors
from include.release.targets.endpoint import (
    Plan,
    endpoint_config,
    endpoint_name,
    model_name,
    owns_config,
    owns_model,
    plan_of,
    variant_name,
)
from include.release.targets.protocol import Served
from include.settings import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Connection

    from include.declarations import UseCase
    from include.release.analysis import Observation, StepWindow
    from include.release.rollout import ReleaseState

IN_SERVICE = "InService"
FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint as SageMaker describes it, with the weights of its variants by name."""

    status: str
    config: str
    weights: Mapping[str, float]
    failure: str


class SageMakerTarget:
    """
    Serves each use case by an endpoint, with one variant for each version.

    Parameters
    ----------
    declared
        Returns the declared use cases by name.
    fetch
        Returns the folder of a version's package, whose certificate was verified.
    """

    def __init__(
        self, declared: Callable[[], Mapping[str, UseCase]], fetch: Callable[[str, int], Path]
    ) -> None:
        self._declared = declared
        self._fetch = fetch
        self._problems: dict[str, str] = {}
        self._staged: set[str] = set()
        # The endpoint configuration that each use case should have, and the one that was set last.
        self._configs: dict[str, str] = {}
        self._attempts: dict[str, str] = {}

    def stage(self, states: Sequence[ReleaseState]) -> None:
        """Copy the packages of the desired versions to S3, and create their SageMaker models."""
        for state in states:
            self._problems[state.use_case] = ""
            try:
                for version in plan_of(state).versions:
                    self._stage_version(state.use_case, version)
            except AirworthyError as error:
                self._problems[state.use_case] = str(error)

    def route(self, states: Sequence[ReleaseState]) -> dict[str, Served]:
        """Go one step with each endpoint: create, update or delete it, or set its weights."""
        served = {}
        for state in states:
            plan = plan_of(state)
            reason = self._problems[state.use_case]
            try:
                reason = reason or self._move(state.use_case, plan)
            except AirworthyError as error:
                reason = str(error)
            self._problems[state.use_case] = reason
            served[state.use_case] = describe(state, plan, reason)
        return served

    def retire(self, states: Sequence[ReleaseState]) -> None:
        """Delete what endpoints that are as desired do not use any more."""
        for state in states:
            if not self._problems[state.use_case]:
                with translate_aws_errors(f"what {state.use_case} does not use any more is not deleted"):
                    self._delete_unused(state.use_case, plan_of(state))

    def _stage_version(self, use_case: str, version: int) -> None:
        target = target_of(self._declared()[use_case])
        name = self._model_name(use_case, version)
        if name in self._staged:
            return
        folder = self._fetch(use_case, version)
        with translate_aws_errors(f"{use_case} version {version} cannot be staged at SageMaker"):
            _upload(aws_client("s3", target.region), folder, _package_url(use_case, version, target))
            client = aws_client("sagemaker", target.region)
            if find(client.describe_model, ModelName=name) is None:
                client.create_model(ModelName=name, **_model_of(use_case, version, target))
        self._staged.add(name)

    def _model_name(self, use_case: str, version: int) -> str:
        content = _model_of(use_case, version, target_of(self._declared()[use_case]))
        return model_name(endpoint_name(settings().env, use_case), version, content)

    def _move(self, name: str, plan: Plan) -> str:
        """Go one step towards the plan; return why it is not reached yet, or an empty string."""
        use_case = self._declared()[name]
        target = target_of(use_case)
        endpoint = endpoint_name(settings().env, name)
        models = {version: self._model_name(name, version) for version in plan.versions}
        config = endpoint_config(endpoint, plan, models, target, use_case.serving.replicas)
        self._configs[name] = config["EndpointConfigName"]
        client = aws_client("sagemaker", target.region)
        with translate_aws_errors(f"the endpoint {endpoint} cannot be changed"):
            current = read_endpoint(client, endpoint)
            if current is not None and current.status not in {IN_SERVICE, FAILED}:
                return f"the endpoint {endpoint} is {current.status}"
            if current is None or current.config != config["EndpointConfigName"] or not plan.weights:
                return self._replace(name, current, config)
            if current.status == FAILED:
                return f"the endpoint {endpoint} has failed: {current.failure}"
            return _set_weights(client, endpoint, current, plan)

    def _replace(self, name: str, current: Endpoint | None, config: dict[str, Any]) -> str:
        """Give the endpoint another configuration; return why that is not done yet."""
        client = aws_client("sagemaker", target_of(self._declared()[name]).region)
        endpoint = endpoint_name(settings().env, name)
        config_name = config["EndpointConfigName"]
        if not config["ProductionVariants"] or (current is not None and current.status == FAILED):
            # SageMaker updates no endpoint that has failed.
            if current is not None:
                client.delete_endpoint(EndpointName=endpoint)
            return f"the endpoint {endpoint} is being deleted" if current else ""
        if current is not None and current.failure and self._attempts.get(name) == config_name:
            return f"SageMaker went back to the former variants of {endpoint}: {current.failure}"
        if find(client.describe_endpoint_config, EndpointConfigName=config_name) is None:
            client.create_endpoint_config(**config)
        change = client.create_endpoint if current is None else client.update_endpoint
        change(EndpointName=endpoint, EndpointConfigName=config_name)
        self._attempts[name] = config_name
        return f"the endpoint {endpoint} is being changed"

    def _delete_unused(self, name: str, plan: Plan) -> None:
        client = aws_client("sagemaker", target_of(self._declared()[name]).region)
        endpoint = endpoint_name(settings().env, name)
        used = {self._model_name(name, version) for version in plan.versions}
        used.add(self._configs[name])
        for entry in list_all(client, "list_endpoint_configs", NameContains=endpoint):
            config = entry["EndpointConfigName"]
            if owns_config(endpoint, config) and config not in used:
                client.delete_endpoint_config(EndpointConfigName=config)
        for entry in list_all(client, "list_models", NameContains=endpoint):
            model = entry["ModelName"]
            if owns_model(endpoint, model) and model not in used:
                client.delete_model(ModelName=model)
                self._staged.discard(model)


def observe_endpoint(
    connection: Connection, use_case: UseCase, champion: int | None, challenger: int, *, window: StepWindow
) -> Observation:
    """Return what CloudWatch counted for both variants; the database is not needed."""
    client = aws_client("cloudwatch", target_of(use_case).region)
    name = endpoint_name(settings().env, use_case.name)
    with translate_aws_errors(f"CloudWatch does not say how {use_case.name} does"):
        return cloudwatch.observe_variants(client, name, champion, challenger, window=window)


def target_of(use_case: UseCase) -> SageMaker:
    """Return the declared endpoint of a use case; DeclarationError if it is served otherwise."""
    target = use_case.serving.target
    if not isinstance(target, SageMaker):
        raise DeclarationError(f"{use_case.name}: serving.target is {target!r}, and no SageMaker endpoint")
    return target


def read_endpoint(client: Any, name: str) -> Endpoint | None:
    """Return an endpoint; None if there is none of this name."""
    description = find(client.describe_endpoint, EndpointName=name)
    if description is None:
        return None
    variants = description.get("ProductionVariants", [])
    return Endpoint(
        description["EndpointStatus"],
        # While an endpoint is created, SageMaker may leave it out.
        description.get("EndpointConfigName", ""),
        {variant["VariantName"]: variant.get("CurrentWeight", 0.0) for variant in variants},
        description.get("FailureReason", ""),
    )


def describe(state: ReleaseState, plan: Plan, reason: str) -> Served:
    """Return what is served, in the words of the local controller."""
    servers: dict[str, dict[str, Any]] = {}
    for role in ("champion", "challenger"):
        version = getattr(state, role)
        if version in plan.versions:
            details = {"role": role, "address": None, "ready": not reason, "reason": reason}
            servers[str(version)] = details | {"replicas": []}
    route = {
        "champion": state.champion,
        "challenger": state.challenger,
        "weight": state.weight,
        "retired": state.retired,
        "fallback": state.fallback["kind"] if state.fallback else "",
    }
    endpoint = endpoint_name(settings().env, state.use_case)
    detail = {"target": "sagemaker", "endpoint": endpoint, "plan": asdict(plan)}
    return Served(not reason, detail | {"servers": servers, "reason": reason, "route": route})


def _set_weights(client: Any, endpoint: str, current: Endpoint, plan: Plan) -> str:
    weights = {variant_name(version): weight for version, weight in plan.weights.items()}
    # SageMaker has weights in single precision.
    if all(abs(current.weights.get(name, 0.0) - weight) < 1e-6 for name, weight in weights.items()):
        return ""
    desired = [{"VariantName": name, "DesiredWeight": weight} for name, weight in weights.items()]
    client.update_endpoint_weights_and_capacities(EndpointName=endpoint, DesiredWeightsAndCapacities=desired)
    return f"the endpoint {endpoint} is getting other weights"


def _package_url(use_case: str, version: int, target: SageMaker) -> str:
    return f"{target.packages.rstrip('/')}/{use_case}/{version}/model.tar.gz"


def _model_of(use_case: str, version: int, target: SageMaker) -> dict[str, Any]:
    """Return the content of a version's SageMaker model."""
    environment = {
        "AIRWORTHY_USE_CASE": use_case,
        "AIRWORTHY_MODEL_VERSION": str(version),
        "AIRWORTHY_ALLOW_PICKLE": str(settings().allow_pickle).lower(),
    }
    container = {
        "Image": target.image,
        "ModelDataUrl": _package_url(use_case, version, target),
        "Environment": environment,
    }
    return {"ExecutionRoleArn": target.role, "PrimaryContainer": container}


def _upload(client: Any, folder: Path, url: str) -> None:
    """Copy a package as one archive to S3, where it appears complete or not at all, unless it is there."""
    parts = urlsplit(url)
    key = parts.path.lstrip("/")
    if find(client.head_object, Bucket=parts.netloc, Key=key) is not None:
        return
    with tempfile.TemporaryDirectory() as scratch:
        archive = Path(scratch) / "model.tar.gz"
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(folder, arcname=".")
        client.upload_file(str(archive), parts.netloc, key)
