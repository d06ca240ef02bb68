"""Errors of disks and object stores, translated into the place, the cause and the remedy."""

from __future__ import annotations

import errno
import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from deltalake.exceptions import CommitFailedError, DeltaError

from include.errors import AirworthyError, ServiceUnavailable, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DEFAULT_CONNECTION = "lake_default"
MAX_MESSAGE_LENGTH = 400
_FULL_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DENIED_ERRNOS = {errno.EACCES, errno.EPERM, errno.EROFS}
_ENDPOINT_OPTIONS = (
    "aws_endpoint_url_s3",
    "aws_endpoint_url",
    "aws_endpoint",
    "endpoint_url",
    "endpoint",
)
_ADDRESS = re.compile(r"https?://[^\s/]+")
_FULL_STORE = re.compile(r"507 |InsufficientStorage|QuotaExceeded|No space left")
_STORE_ERROR = re.compile(r"Generic \w+ error|Error performing|HTTP error|os error \d+|lacked the necessary")
_OS_ERROR = re.compile(r"os error (\d+)")
_ERROR_CODE = re.compile(r"<Code>(\w+)</Code>")
_SECRET_OPTION = re.compile(r"(?i)secret|token|password")
# Delta separates the causes of an error by arrows.
_CAUSE_ARROW = re.compile(r"\s*(?:\x1b\[\d+m)?↳(?:\x1b\[\d+m)?\s*")
# Errors that a retry cannot correct: a pattern in the store's answer, and the remedy.
_REMEDIES = (
    (r"NoSuchBucket", "has no such bucket: create it, or correct its name"),
    (r"169\.254\.169\.254|NoCredentials", "received no credentials: add an access key and its secret"),
    (r"scheme is not allowed", "is not reached by TLS: use https://, or allow http with AWS_ALLOW_HTTP=true"),
    (r"PermanentRedirect|301 Moved|AuthorizationHeaderMalformed", "is in another region: correct AWS_REGION"),
    (
        r"necessary privileges|403 Forbidden|401 Unauthorized|ExpiredToken|InvalidToken",
        "refuses the credentials: correct the access key and its secret, or their permissions",
    ),
)


@contextmanager
def translate_storage_errors(
    uri: str, options: Mapping[str, str], connection: str = DEFAULT_CONNECTION
) -> Iterator[None]:
    """
    Translate errors of a disk or an object store; messages contain no secret.

    Parameters
    ----------
    uri
        Local path, or address such as `s3://bucket/lake`.
    options
        Options of the object store, as Delta takes them.
    connection
        Name of the Airflow connection that a person has to correct.

    Raises
    ------
    SettingsError
        If a retry cannot help: credentials, bucket, region, permissions, endpoint.
    ServiceUnavailable
        If a retry may help: the store is away, busy or full.
    """
    if "://" in uri:
        _require_valid_endpoint(options, connection)
    try:
        yield
    except (AirworthyError, CommitFailedError):
        raise
    except (OSError, DeltaError) as error:
        translated = _translate(error, uri, options, connection)
        if translated is None:
            raise
        raise translated from error


def _require_valid_endpoint(options: Mapping[str, str], connection: str) -> None:
    """Raise SettingsError if the endpoint is not an address: Delta would crash on it."""
    endpoint = _endpoint(options)
    if endpoint and not _ADDRESS.match(endpoint):
        raise SettingsError(
            f"{endpoint!r} is no endpoint of an object store: give its whole address, http://…, in "
            f"the `storage_options` of the connection {connection} or in AWS_ENDPOINT_URL."
        )


def _translate(
    error: Exception, uri: str, options: Mapping[str, str], connection: str
) -> AirworthyError | None:
    text = _CAUSE_ARROW.sub(": ", str(error))
    number = _os_error_number(error, text)
    target = _describe_target(uri, options)
    if number in _FULL_ERRNOS or _FULL_STORE.search(text):
        return ServiceUnavailable(
            f"No space left on {target}: free some and clear the task. ({_shorten(text)})"
        )
    if number in _DENIED_ERRNOS:
        return SettingsError(f"{target} may not be used: correct its permissions. ({_shorten(text)})")
    for pattern, remedy in _REMEDIES:
        if re.search(pattern, text):
            code = _ERROR_CODE.search(text)
            details = code[1] if code else _hide_secrets(_shorten(text), options)
            return SettingsError(
                f"{target} {remedy}, in the `storage_options` of the connection {connection} or the "
                f"variables AWS_*. ({details})"
            )
    if isinstance(error, FileNotFoundError) or not (number or _STORE_ERROR.search(text)):
        return None
    return ServiceUnavailable(
        f"{target} does not answer as expected; check that it is up, then clear the task. "
        f"({_hide_secrets(_shorten(text), options)})"
    )


def _os_error_number(error: Exception, text: str) -> int | None:
    match = _OS_ERROR.search(text)
    if match:
        return int(match[1])
    return error.errno if isinstance(error, OSError) else None


def _describe_target(uri: str, options: Mapping[str, str]) -> str:
    endpoint = _endpoint(options) if "://" in uri else None
    return f"{uri} at {endpoint}" if endpoint else uri


def _endpoint(options: Mapping[str, str]) -> str | None:
    values = {name.lower(): value for name, value in [*os.environ.items(), *options.items()]}
    return next((values[name] for name in _ENDPOINT_OPTIONS if name in values), None)


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_MESSAGE_LENGTH else f"{line[:150]} … {line[-250:]}"


def _hide_secrets(text: str, options: Mapping[str, str]) -> str:
    for name, value in [*os.environ.items(), *options.items()]:
        if _SECRET_OPTION.search(name) and len(value) > 3:
            text = text.replace(value, "***")
    return text
