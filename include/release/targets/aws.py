"""Clients of AWS: credentials come from boto3's default chain."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from include.errors import ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# What AWS answers about something that does not exist.
ABSENT = ("ValidationException", "ValidationError", "ResourceNotFound", "404", "NoSuchKey")
# SageMaker has one code for all mistakes.
ABSENT_TEXTS = ("could not find", "not found", "does not exist", "cannot be found")


@cache
def aws_client(service: str, region: str | None) -> Any:
    """Return a client, which several threads may share."""
    import boto3

    return boto3.client(service, region_name=region)


@contextmanager
def translate_aws_errors(what: str) -> Iterator[None]:
    """Raise ServiceUnavailable if AWS refuses or cannot be reached; the message names `what`."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (Boto3Error, BotoCoreError, ClientError) as error:
        raise ServiceUnavailable(f"{what}: {error}") from error


def find(describe: Callable[..., dict[str, Any]], **names: str) -> dict[str, Any] | None:
    """Return a description by AWS; None if there is no such thing."""
    from botocore.exceptions import ClientError

    try:
        return describe(**names)
    except ClientError as error:
        details = error.response["Error"]
        text = details.get("Message", "").lower()
        if details["Code"] not in ABSENT or (details["Code"].startswith("Val") and not _is_absence(text)):
            raise
        return None


def list_all(client: Any, operation: str, **parameters: str) -> list[dict[str, Any]]:
    """Return the entries of all pages of a list."""
    entries: list[dict[str, Any]] = []
    for page in client.get_paginator(operation).paginate(**parameters):
        entries += next(value for value in page.values() if isinstance(value, list))
    return entries


def _is_absence(text: str) -> bool:
    return any(absent in text for absent in ABSENT_TEXTS)
