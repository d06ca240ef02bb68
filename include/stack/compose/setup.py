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
WRITERS = 8


def databases() -> None:
    """Make sure that each role has its password of `<ROLE>_PASSWORD` and a database of its own."""
    url = URL.create(
        "postgresql+psycopg2", SUPERUSER, _variable("POSTGRES_PASSWORD"), host="postgres", database=SUPERUSER
    )
    passwords = {role: _variable(f"{role.upper()}_PASSWORD") for role in ROLES}
    ensure_databases(create_engine(url, isolation_level="AUTOCOMMIT", hide_parameters=True), passwords)


def buckets() -> None:
    """
    Make sure that the buckets of `S3_BUCKETS` exist, in a store in which two writers cannot both be first.

    :raises SettingsError: if the store ignores conditional puts, so that concurrent commits would be lost
    """
    names = _variable("S3_BUCKETS").split(",")
    store = _client()
    for name in names:
        _ensure_bucket(store, name)
    check_conditional_puts(store, names[0])


def check_conditional_puts(store: Any, bucket: str) -> None:
    """
    Let several writers create one object at once; exactly one may succeed.

    :raises SettingsError: if another number does
    """
    key = ".airworthy/conditional-put"
    store.delete_object(Bucket=bucket, Key=key)
    with ThreadPoolExecutor(WRITERS) as pool:
        winners = sum(pool.map(lambda writer: _create(store, bucket, key, writer), range(WRITERS)))
    store.delete_object(Bucket=bucket, Key=key)
    if winners != 1:
        raise SettingsError(
            f"The object store at {store.meta.endpoint_url} let {winners} of {WRITERS} writers create one "
            "object: it does not honour `If-None-Match: *`, and concurrent commits to a Delta table would be "
            "lost. Use a store that does."
        )


def login() -> None:
    """Write the administrator's password, `ADMIN_PASSWORD`, where Airflow's simple auth manager reads it."""
    passwords = json.dumps({"admin": _variable("ADMIN_PASSWORD")})
    write_private(password_file(settings().root), f"{passwords}\n")


def connections() -> None:
    """Set what `airflow_settings.yaml` names, through Airflow's API."""
    login()
    airflow_settings.apply(settings())


def keys() -> None:
    """Make the key that signs certificates and its public half, where there are none."""
    generate_keys(settings().root / "keys")


def run_steps(names: Iterable[str]) -> None:
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


def _client() -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client("s3", config=Config(s3={"addressing_style": "path"}, max_pool_connections=WRITERS))


def _ensure_bucket(store: Any, name: str) -> None:
    try:
        store.create_bucket(Bucket=name)
    except (store.exceptions.BucketAlreadyOwnedByYou, store.exceptions.BucketAlreadyExists):
        store.head_bucket(Bucket=name)  # raises when it is somebody else's


def _create(store: Any, bucket: str, key: str, writer: int) -> bool:
    from botocore.exceptions import ClientError

    try:
        store.put_object(Bucket=bucket, Key=key, Body=str(writer).encode(), IfNoneMatch="*")
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("PreconditionFailed", "ConditionalRequestConflict"):
            raise
        return False
    return True


def _variable(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise SettingsError(f"{name} is not set in the environment.")
    return value
