from __future__ import annotations

import httpx
import numpy as np
import pytest
from moto.cloudwatch.models import Statistics
from moto.core.responses import ActionResult
from moto.sagemaker.responses import SageMakerResponse
from moto.server import ThreadedMotoServer

from include.declarations import SageMaker, Serving
from include.declarations.use_cases import PREDICTION_METRICS
from include.release.targets.aws import aws_client
from include.release.targets.sagemaker import SageMakerTarget
from include.settings import settings
from include.use_cases.flight_delay import USE_CASE

STATISTIC = Statistics.get_statistics_for_type
BUCKET = "packages"
TARGET = SageMaker(
    image="123456789012.dkr.ecr.eu-west-1.amazonaws.com/airworthy:1",
    role="arn:aws:iam::123456789012:role/airworthy",
    instance_type="ml.m5.large",
    packages=f"s3://{BUCKET}/models",
)


def update_endpoint(self):
    """Moto has no UpdateEndpoint: give the endpoint the variants of another configuration."""
    endpoint = self.sagemaker_backend.endpoints[self._get_param("EndpointName")]
    name = self._get_param("EndpointConfigName")
    config = self.sagemaker_backend.describe_endpoint_config(name)
    endpoint.endpoint_config_name = name
    endpoint.production_variants = endpoint._process_production_variants(config["ProductionVariants"])
    return ActionResult({"EndpointArn": endpoint.arn})


def statistic_of(self, kind):
    """Moto knows no percentiles."""
    if kind.startswith("p"):
        return float(np.percentile([datum.value for datum in self.metric_data], float(kind[1:])))
    return STATISTIC(self, kind)


@pytest.fixture(scope="module")
def moto_server():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SageMakerResponse, "update_endpoint", update_endpoint, raising=False)
        patch.setattr(Statistics, "get_statistics_for_type", statistic_of)
        yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws(moto_server, monkeypatch, tmp_path):
    """Return a way to get clients of an AWS without anything but a bucket."""
    for name, value in {
        "AWS_ENDPOINT_URL": moto_server,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AIRWORTHY_HOME": str(tmp_path / "home"),
    }.items():
        monkeypatch.setenv(name, value)
    aws_client.cache_clear()
    settings.cache_clear()
    httpx.post(f"{moto_server}/moto-api/reset").raise_for_status()
    location = {"LocationConstraint": "eu-west-1"}
    aws_client("s3", None).create_bucket(Bucket=BUCKET, CreateBucketConfiguration=location)
    yield lambda service: aws_client(service, None)
    aws_client.cache_clear()
    settings.cache_clear()


@pytest.fixture
def use_case():
    rollout = USE_CASE.rollout.model_copy(update={"advisory": PREDICTION_METRICS})
    serving = Serving(target=TARGET, replicas=2)
    return USE_CASE.model_copy(update={"serving": serving, "rollout": rollout})


@pytest.fixture
def packages(tmp_path):
    """Return a way to get the folder of a version's package."""

    def fetch(name: str, version: int):
        folder = tmp_path / name / str(version)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "MLmodel").write_text(f"version {version}")
        return folder

    return fetch


@pytest.fixture
def target(aws, use_case, packages):
    return SageMakerTarget(lambda: {use_case.name: use_case}, packages)
