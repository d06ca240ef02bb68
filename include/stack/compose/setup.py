"""Steps that prepare the services of docker-compose.yaml: databases, buckets, keys, login, connections."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, create_engine

from include.certificates.keys import generate_keys
from include.credentials import password_file, write_private
from include.errors import SettingsError
from include.settings import settings
from include.stack.embedded import airflow_settings
from include.stack.embedded.postgres import SUPERUSER, ensure_databases

if TYPE_CHECKING:
    from collections.abc import Iterable

ROLES = ("airflow", "mlflow", "airworthy")
N_WRITERS = 8


def databases() -> None:
    """Create each role with its password from `<ROLE>_PASSWORD`, and a database of its own."""
    url = URL.create(
        "postgresql+psycopg2",
        SUPERUSER,
        _require_variable("POSTGRES_PASSWORD"),
        host="postgres",
        database=SUPERUSER,
    )
    passwords = {role: _require_variable(f"{role.upper()}_PASSWORD") for role in ROLES}
    ensure_databases(create_engine(url, isolation_level="AUTOCOMMIT", hide_parameters=True), passwords)


def buckets() -> None:
    """
    Create the buckets of `S3_BUCKETS`, and check that the store honours conditional puts.

    Raises
    ------
    SettingsError
        If it does not, so that concurrent commits to a Delta table would be lost.
    """
    names = _require_variable("S3_BUCKETS").split(",")
    store = _s3_client()
    for name in names:
        _ensure_bucket(store, name)
    check_conditional_puts(store, names[0])


def check_conditional_puts(store: Any, bucket: str) -> None:
    """Raise SettingsError unless exactly one of 8 concurrent writers can create the same object."""
    key = ".airworthy/conditional-put"
    store.delete_object(Bucket=bucket, Key=key)
    with ThreadPoolExecutor(N_WRITERS) as pool:
        created = list(pool.map(lambda writer: _create(store, bucket, key, writer), range(N_WRITERS)))
    store.delete_object(Bucket=bucket, Key=key)
    if sum(created) != 1:
        raise SettingsError(
            f"The object store at {store.meta.endpoint_url} let {sum(created)} of {N_WRITERS} writers create "
            "one object: it does not honour `If-None-Match: *`, and concurrent commits to a Delta table "
            "would be lost. Use a store that does."
        )


def login() -> None:
    """Write `ADMIN_PASSWORD` into the file from which Airflow's simple auth manager reads it."""
    passwords = json.dumps({"admin": _require_variable("ADMIN_PASSWORD")})
    write_private(password_file(settings().root), f"{passwords}\n")


def connections() -> None:
    """Create the connections, pools and variables of `airflow_settings.yaml` through Airflow's API."""
    login()
    airflow_settings.apply(settings())


def keys() -> None:
    """Generate the key that signs certificates, and its public half, unless they exist."""
    generate_keys(settings().root / "keys")


def run_setup(names: Iterable[str]) -> None:
    """
    Run the named steps in this order.

    Raises
    ------
    SettingsError
        If there is no step of a name; the message lists the steps.
    """
    steps = {step.__name__: step for step in (databases, buckets, keys, login, connections)}
    for name in names:
        if name not in steps:
            raise SettingsError(f"There is no step {name!r}: choose among {', '.join(steps)}.")
        steps[name]()


def _s3_client() -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client("s3", config=Config(s3={"addressing_style": "path"}, max_pool_connections=N_WRITERS))


def _ensure_bucket(store: Any, name: str) -> None:
    try:
        store.create_bucket(Bucket=name)
    except (store.exceptions.BucketAlreadyOwnedByYou, store.exceptions.BucketAlreadyExists):
        # Raises if the bucket belongs to another account.
        store.head_bucket(Bucket=name)


def _create(store: Any, bucket: str, key: str, writer: int) -> bool:
    from botocore.exceptions import ClientError

    try:
        store.put_object(Bucket=bucket, Key=key, Body=str(writer).encode(), IfNoneMatch="*")
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("PreconditionFailed", "ConditionalRequestConflict"):
            raise
        return False
    return True


def _require_variable(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise SettingsError(f"{name} is not set in the environment.")
    return value
