"""A real S3 endpoint over HTTP: the one that the environment names, or moto's server."""

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

ENDPOINT, KEY, SECRET = (f"AIRWORTHY_TEST_S3_{part}" for part in ("ENDPOINT", "KEY", "SECRET"))
EVERYTHING = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}'


@dataclass(frozen=True)
class ObjectStore:
    """An endpoint with a bucket of this session's own."""

    endpoint: str
    key: str
    secret: str = field(repr=False)
    bucket: str = field(default_factory=lambda: f"airworthy-test-{uuid.uuid4().hex[:12]}")

    def options(self, endpoint: str = "", **changes: str) -> dict[str, str]:
        """Return Delta's options; `endpoint` is a proxy's."""
        return {
            "AWS_ENDPOINT_URL": endpoint or self.endpoint,
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
            **changes,
        }

    def variables(self) -> dict[str, str]:
        """Return the same for a process' environment."""
        return {**self.options(), "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}

    def address(self) -> str:
        """Return an address below which there is nothing yet."""
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
        return [entry["Key"].removeprefix(prefix) for page in pages for entry in page.get("Contents", [])]


@contextmanager
def given() -> Iterator[ObjectStore]:
    """Yield the endpoint that the environment names, with a bucket that is emptied afterwards."""
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
def simulated(folder: Path, port: int) -> Iterator[ObjectStore]:
    """Yield moto's server, which knows its users and their secrets."""
    endpoint = f"http://127.0.0.1:{port}"
    command = ["setpriv", "--pdeathsig=TERM", sys.executable, "-m", "moto.server", "--port", str(port)]
    with (folder / "log").open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        _wait(endpoint, process, folder / "log")
        users = ObjectStore(endpoint, "nobody", "nothing").client("iam")
        users.create_user(UserName="airworthy")
        users.put_user_policy(UserName="airworthy", PolicyName="everything", PolicyDocument=EVERYTHING)
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
    raise RuntimeError(f"moto does not answer: {log.read_text()}")
