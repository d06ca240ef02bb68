"""Hook for the source of a dataset: landed files, or a query or a service behind an Airflow connection."""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook, Connection

from airworthy.hooks.lake import LakeHook
from include.declarations import CustomSource, DatabaseSource, FileSource, HttpSource
from include.errors import ServiceUnavailable, SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import httpx
    from sqlalchemy import URL

    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    from include.data.sources.base import PartitionSource
    from include.declarations import Dataset
    from include.partitions import Partition

# Seconds for a connection, and between two parts of an answer.
TIMEOUT_S = 30
S3_CONNECT_TIMEOUT_S = 5


class SourceHook(BaseHook):
    """Opens the source of a dataset."""

    def __init__(self, dataset: Dataset, lake_conn_id: str = LakeHook.default_conn_name) -> None:
        super().__init__()
        self.dataset = dataset
        self.lake = LakeHook(lake_conn_id)

    @cached_property
    def source(self) -> PartitionSource:
        """Source of the dataset."""
        declared = self.dataset.source
        if isinstance(declared, FileSource):
            return self.lake.landing
        if isinstance(declared, HttpSource):
            from include.data.sources.http import HttpService

            return HttpService(_client_of_connection(self.get_connection(declared.conn_id)))
        if isinstance(declared, CustomSource):
            from include.data.sources.custom import TeamSource

            connection = self.get_connection(declared.conn_id) if declared.conn_id else None
            return TeamSource.create(declared, connection)
        return self._open_database(declared)

    @cached_property
    def bucket(self) -> S3Hook | None:
        """Hook of the Amazon provider with the lake's credentials; None unless files land in a bucket."""
        if isinstance(self.dataset.source, FileSource) and self.lake.landing.uri.startswith("s3://"):
            return _s3(self.lake.storage_options, self.lake.lake_conn_id)
        return None

    def open(self) -> None:
        """Read the connections, and open the source and the bucket."""
        _ = (self.source, self.bucket)

    def missing(self, partitions: Sequence[Partition]) -> list[Partition]:
        """
        Return the partitions that the source does not have yet.

        :raises SettingsError: if the source cannot be used as it is configured
        :raises ServiceUnavailable: if the source does not answer
        """
        declared = self.dataset.source
        is_split = isinstance(declared, FileSource) and declared.split_by is not None
        if self.bucket is None or is_split:
            return self.source.missing(self.dataset, partitions)
        bucket = self.bucket
        return [partition for partition in partitions if not _object_exists(bucket, self.location(partition))]

    def location(self, partition: Partition) -> str:
        """Return where a person finds a partition."""
        return self.source.location(self.dataset, partition)

    def _open_database(self, declared: DatabaseSource) -> PartitionSource:
        from include.data.sources.database import UpstreamDatabase
        from include.data.sources.dialects import open_engine

        url = _database_url(self.get_connection(declared.conn_id))
        application = f"airworthy {self.dataset.name}"
        return UpstreamDatabase(open_engine(url, conn_id=declared.conn_id, application=application))


def _database_url(connection: Connection) -> URL:
    """
    Return the SQLAlchemy address of a connection.

    Its type is SQLAlchemy's dialect and driver, such as `mysql+pymysql`; `sqlalchemy_scheme` in its extra
    takes precedence, as in Airflow's hooks. Other texts in its extra are options of the driver.
    """
    from sqlalchemy import URL

    extra = dict(connection.extra_dejson)
    scheme = str(extra.pop("sqlalchemy_scheme", None) or connection.conn_type or "postgres")
    # Airflow gives the file of SQLite as the host.
    file = connection.host if scheme.startswith("sqlite") else None
    return URL.create(
        {"postgres": "postgresql+psycopg2", "postgresql": "postgresql+psycopg2"}.get(scheme, scheme),
        username=connection.login,
        password=connection.password,
        host=None if file else connection.host or None,
        port=connection.port,
        database=connection.schema or file,
        query={name: value for name, value in extra.items() if isinstance(value, str)},
    )


def _client_of_connection(connection: Connection) -> httpx.Client:
    """Return a client with the host and login of a connection; a password without login is a bearer token."""
    import httpx

    if not connection.host:
        raise SettingsError(f"Connection {connection.conn_id} has no host: give the address of the service.")
    scheme = "" if "://" in connection.host else f"{connection.schema or 'http'}://"
    port = f":{connection.port}" if connection.port else ""
    headers = dict(connection.extra_dejson.get("headers") or {})
    if connection.password and not connection.login:
        headers["Authorization"] = f"Bearer {connection.password}"
    login = (connection.login, connection.password or "") if connection.login else None
    return httpx.Client(
        base_url=f"{scheme}{connection.host.rstrip('/')}{port}",
        auth=login,
        headers=headers,
        timeout=TIMEOUT_S,
        follow_redirects=True,
    )


def _s3(options: Mapping[str, str], conn_id: str) -> S3Hook:
    """Return the provider's hook with Delta's options; missing ones come from the variables AWS_*."""
    from botocore.config import Config

    from airflow.providers.amazon.aws.hooks.s3 import S3Hook
    from airflow.providers.amazon.aws.utils.connection_wrapper import AwsConnectionWrapper

    values = {name.lower().removeprefix("aws_"): value for name, value in options.items()}
    extra = {
        "endpoint_url": values.get("endpoint_url_s3") or values.get("endpoint_url") or values.get("endpoint"),
        "region_name": values.get("region") or values.get("default_region"),
        "aws_session_token": values.get("session_token"),
    }
    connection = Connection(
        conn_id=conn_id,
        conn_type="aws",
        login=values.get("access_key_id"),
        password=values.get("secret_access_key"),
        extra=json.dumps({name: value for name, value in extra.items() if value}),
    )
    config = Config(
        connect_timeout=S3_CONNECT_TIMEOUT_S, read_timeout=TIMEOUT_S, retries={"mode": "standard"}
    )
    hook = S3Hook(aws_conn_id=None, config=config)
    hook.conn_config = AwsConnectionWrapper(conn=connection, botocore_config=config)
    return hook


def _object_exists(bucket: S3Hook, location: str) -> bool:
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

    try:
        return bool(bucket.check_for_key(location))
    except (ClientError, NoCredentialsError) as error:
        status = getattr(error, "response", {}).get("ResponseMetadata", {}).get("HTTPStatusCode", 403)
        if status >= 500:
            raise ServiceUnavailable(
                f"{location}: its store answers {status}. Check that it is up."
            ) from error
        raise SettingsError(
            f"{location} may not be read: correct access key, secret and region in the `storage_options` "
            f"of the connection lake_default or the variables AWS_*. ({error})"
        ) from error
    except BotoCoreError as error:
        raise ServiceUnavailable(
            f"{location}: its store does not answer. Check that it is up. ({error})"
        ) from error
