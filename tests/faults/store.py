"""An S3 endpoint over HTTP: the one that the environment names, or moto's server."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import boto3
import httpx
from botocore.config import Config

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENDPOINT = "AIRWORTHY_TEST_S3_ENDPOINT"
KEY = "AIRWORTHY_TEST_S3_KEY"
SECRET = "AIRWORTHY_TEST_S3_SECRET"
ALLOW_ALL_POLICY = (
    '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}'
)


@dataclass(frozen=True)
class ObjectStore:
    """An endpoint and a bucket that only this test session uses."""

    endpoint: str
    key: str
    secret: str = field(repr=False)
    bucket: str = field(default_factory=lambda: f"airworthy-test-{uuid.uuid4().hex[:12]}")

    def options(self, endpoint: str = "", **changes: str) -> dict[str, str]:
        """Return the storage options of Delta; `endpoint` may be that of a proxy."""
        return {
            "AWS_ENDPOINT_URL": endpoint or self.endpoint,
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
            **changes,
        }

    def variables(self) -> dict[str, str]:
        """Return the same options as environment variables of a process."""
        return {**self.options(), "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}

    def address(self) -> str:
        """Return an address below which there are no objects."""
        return f"s3://{self.bucket}/{uuid.uuid4().hex[:12]}"

    def client(self, service: str = "s3") -> Any:
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}),
        )

    def keys(self, address: str) -> list[str]:
        """Return the names of all objects below an address, relative to it."""
        prefix = address.removeprefix(f"s3://{self.bucket}/") + "/"
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        names: list[str] = []
        for page in pages:
            names += [entry["Key"].removeprefix(prefix) for entry in page.get("Contents", [])]
        return names


@contextmanager
def use_endpoint() -> Iterator[ObjectStore]:
    """Yield the endpoint that the environment names, with a bucket that is deleted afterwards."""
    store = ObjectStore(os.environ[ENDPOINT], os.environ[KEY], os.environ[SECRET])
    bucket = boto3.resource(
        "s3",
        endpoint_url=store.endpoint,
        aws_access_key_id=store.key,
        aws_secret_access_key=store.secret,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}),
    ).Bucket(store.bucket)
    bucket.create()
    try:
        yield store
    finally:
        bucket.objects.delete()
        bucket.delete()


@contextmanager
def run_moto(folder: Path, port: int) -> Iterator[ObjectStore]:
    """Start moto's server, which checks credentials, and yield it with an empty bucket."""
    endpoint = f"http://127.0.0.1:{port}"
    command = ["setpriv", "--pdeathsig=TERM", sys.executable, "-m", "moto.server", "--port", str(port)]
    with (folder / "log").open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        _wait(endpoint, process, folder / "log")
        users = ObjectStore(endpoint, "unauthenticated", "unauthenticated").client("iam")
        users.create_user(UserName="airworthy")
        users.put_user_policy(UserName="airworthy", PolicyName="everything", PolicyDocument=ALLOW_ALL_POLICY)
        access = users.create_access_key(UserName="airworthy")["AccessKey"]
        store = ObjectStore(endpoint, access["AccessKeyId"], access["SecretAccessKey"])
        httpx.post(f"{endpoint}/moto-api/reset-auth", content=b"0").raise_for_status()
        store.client().create_bucket(Bucket=store.bucket)
        yield store
    finally:
        process.terminate()
        process.wait(30)


def _wait(endpoint: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < end:
        try:
            httpx.get(f"{endpoint}/moto-api/", timeout=5)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"moto does not respond: {log.read_text()}")
