"""Reach where a dataset comes from, as the dataset and an Airflow connection say."""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook, Connection

from airworthy.hooks.airworthy_database import url_of
from airworthy.hooks.lake import LakeHook
from include.declarations import FileSource, HttpSource, PostgresSource
from include.errors import ServiceUnavailable, SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import httpx

    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    from include.data.sources.base import PartitionSource
    from include.declarations import Dataset
    from include.partitions import Partition

TIMEOUT = 30  # seconds for a connection, and for an answer to begin or go on


class SourceHook(BaseHook):
    """Turns a dataset into its source: landed files, or a query or a service behind a connection."""

    def __init__(self, dataset: Dataset, lake_conn_id: str = LakeHook.default_conn_name) -> None:
        super().__init__()
        self.dataset = dataset
        self.lake = LakeHook(lake_conn_id)

    @cached_property
    def source(self) -> PartitionSource:
        """The source."""
        declared = self.dataset.source
        if isinstance(declared, FileSource):
            return self.lake.landing
        if isinstance(declared, HttpSource):
            from include.data.sources.http import HttpService

            return HttpService(_client(self.get_connection(declared.conn_id)))
        return self._upstream(declared)

    @cached_property
    def bucket(self) -> S3Hook | None:
        """The amazon provider's hook, with the lake's credentials, where files land in a bucket."""
        if isinstance(self.dataset.source, FileSource) and self.lake.landing.uri.startswith("s3://"):
            return _s3(self.lake.storage_options, self.lake.lake_conn_id)
        return None

    def missing(self, partitions: Sequence[Partition]) -> list[Partition]:
        """
        Return the partitions that are not there yet.

        :raises SettingsError: if the source cannot be used as it is configured
        :raises ServiceUnavailable: if it does not answer
        """
        if self.bucket is None:
            return self.source.missing(self.dataset, partitions)
        return [one for one in partitions if not _landed(self.bucket, self.location(one))]

    def location(self, partition: Partition) -> str:
        """Return where a person would look for a partition."""
        return self.source.location(self.dataset, partition)

    def _upstream(self, declared: PostgresSource) -> PartitionSource:
        from sqlalchemy import NullPool, create_engine

        from include.data.sources.postgres import UpstreamDatabase

        url = url_of(self.get_connection(declared.conn_id))
        options = {"connect_timeout": TIMEOUT, "application_name": f"airworthy {self.dataset.name}"}
        return UpstreamDatabase(create_engine(url, connect_args=options, poolclass=NullPool))


def _client(connection: Connection) -> httpx.Client:
    """Return a client with the connection's host and login; a password without one is a bearer token."""
    import httpx

    if not connection.host:
        raise SettingsError(f"Connection {connection.conn_id} has no host: give the address of the service.")
    scheme = "" if "://" in connection.host else f"{connection.schema or 'http'}://"
    port = f":{connection.port}" if connection.port else ""
    headers = dict(connection.extra_dejson.get("headers") or {})
    if connection.password and not connection.login:
        headers["Authorization"] = f"Bearer {connection.password}"
    return httpx.Client(
        base_url=f"{scheme}{connection.host.rstrip('/')}{port}",
        auth=(connection.login, connection.password or "") if connection.login else None,
        headers=headers,
        timeout=TIMEOUT,
        follow_redirects=True,
    )


def _s3(options: Mapping[str, str], conn_id: str) -> S3Hook:
    """Return the provider's hook for what Delta reaches with these options; what they lack, AWS_* says."""
    from botocore.config import Config

    from airflow.providers.amazon.aws.hooks.s3 import S3Hook
    from airflow.providers.amazon.aws.utils.connection_wrapper import AwsConnectionWrapper

    known = {name.lower().removeprefix("aws_"): value for name, value in options.items()}
    extra = {
        "endpoint_url": known.get("endpoint_url_s3") or known.get("endpoint_url") or known.get("endpoint"),
        "region_name": known.get("region") or known.get("default_region"),
        "aws_session_token": known.get("session_token"),
    }
    connection = Connection(
        conn_id=conn_id,
        conn_type="aws",
        login=known.get("access_key_id"),
        password=known.get("secret_access_key"),
        extra=json.dumps({name: value for name, value in extra.items() if value}),
    )
    quick = Config(connect_timeout=5, read_timeout=TIMEOUT, retries={"mode": "standard"})
    hook = S3Hook(aws_conn_id=None, config=quick)
    hook.conn_config = AwsConnectionWrapper(conn=connection, botocore_config=quick)
    return hook


def _landed(bucket: S3Hook, place: str) -> bool:
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

    try:
        return bool(bucket.check_for_key(place))
    except (ClientError, NoCredentialsError) as error:
        status = getattr(error, "response", {}).get("ResponseMetadata", {}).get("HTTPStatusCode", 403)
        if status >= 500:
            raise ServiceUnavailable(f"{place}: its store answers {status}. See whether it is up.") from error
        raise SettingsError(
            f"{place} may not be looked for: correct access key, secret and region in the `storage_options` "
            f"of the connection lake_default or the variables AWS_*. ({error})"
        ) from error
    except BotoCoreError as error:
        raise ServiceUnavailable(
            f"{place}: its store does not answer. See whether it is up. ({error})"
        ) from error
