"""What a disk or an object store means when it refuses, and what a person can do about it."""

from __future__ import annotations

import errno
import os
import re
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Protocol, TypeVar

from deltalake.exceptions import CommitFailedError, DeltaError

from include.errors import AirworthyError, ServiceUnavailable, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

P = ParamSpec("P")
R = TypeVar("R")

CONNECTION = "lake_default"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_CLOSED = {errno.EACCES, errno.EPERM, errno.EROFS}
_ENDPOINTS = ("aws_endpoint_url_s3", "aws_endpoint_url", "aws_endpoint", "endpoint_url", "endpoint")
_ADDRESS = re.compile(r"https?://[^\s/]+")
_OF_A_STORE = re.compile(r"Generic \w+ error|Error performing|HTTP error|os error \d+|lacked the necessary")
_OS_ERROR = re.compile(r"os error (\d+)")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_ARROW = re.compile(r"\s*(?:\x1b\[\d+m)?↳(?:\x1b\[\d+m)?\s*")  # how Delta draws a chain of causes
# What no retry mends: the pattern in the store's answer, and what to do.
_REMEDIES = (
    (r"NoSuchBucket", "has no such bucket: make it, or correct its name"),
    (r"169\.254\.169\.254|NoCredentials", "was given no credentials: add an access key and its secret"),
    (r"scheme is not allowed", "is not reached by TLS: use https://, or allow http with AWS_ALLOW_HTTP=true"),
    (r"PermanentRedirect|301 Moved|AuthorizationHeaderMalformed", "is of another region: correct AWS_REGION"),
    (
        r"necessary privileges|403 Forbidden|401 Unauthorized|ExpiredToken|InvalidToken",
        "refuses the credentials: correct the access key and its secret, or what they may do",
    ),
)


class Stored(Protocol):
    """Something below an address, reached by the options of a connection."""

    @property
    def uri(self) -> str: ...  # noqa: D102
    @property
    def storage_options(self) -> Mapping[str, str]: ...  # noqa: D102
    @property
    def connection(self) -> str: ...  # noqa: D102


S = TypeVar("S", bound=Stored)


def with_translated_errors(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """Let a method raise what `reaching` says."""

    @wraps(method)
    def wrapped(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with translate_storage_errors(self.uri, self.storage_options, self.connection):
            return method(self, *args, **kwargs)

    return wrapped


@contextmanager
def translate_storage_errors(
    uri: str, options: Mapping[str, str], connection: str = CONNECTION
) -> Iterator[None]:
    """
    Turn what a disk or store refuses into an error that names the place and the remedy, never a secret.

    :raises SettingsError: if trying again would not help: credentials, bucket, region, permissions
    :raises ServiceUnavailable: if it may: the store is away, busy or full
    """
    if "://" in uri and not _ADDRESS.match(_endpoint(options) or "https://aws"):
        raise SettingsError(
            f"{_endpoint(options)!r} is no endpoint of an object store: give its whole address, http://…, in "
            f"the `storage_options` of the connection {connection} or in AWS_ENDPOINT_URL."
        )  # Delta would crash on it
    try:
        yield
    except (AirworthyError, CommitFailedError):
        raise
    except (OSError, DeltaError) as error:
        meaning = _translate(error, uri, options, connection)
        if meaning is None:
            raise
        raise meaning from error


def _translate(
    error: Exception, uri: str, options: Mapping[str, str], connection: str
) -> AirworthyError | None:
    text = _ARROW.sub(": ", str(error))
    number = error.errno if isinstance(error, OSError) else None
    if found := _OS_ERROR.search(text):
        number = int(found[1])
    where = _place(uri, options)
    if number in _FULL or re.search(r"507 |InsufficientStorage|QuotaExceeded|No space left", text):
        return ServiceUnavailable(f"No space left on {where}: free some and clear the task. ({_short(text)})")
    if number in _CLOSED:
        return SettingsError(f"{where} may not be used: correct its permissions. ({_short(text)})")
    for pattern, remedy in _REMEDIES:
        if re.search(pattern, text):
            code = _CODE.search(text)
            return SettingsError(
                f"{where} {remedy}, in the `storage_options` of the connection {connection} or the "
                f"variables AWS_*. ({code[1] if code else _hidden(_short(text), options)})"
            )
    if isinstance(error, FileNotFoundError) or not (number or _OF_A_STORE.search(text)):
        return None
    return ServiceUnavailable(
        f"{where} does not answer as it should; see whether it is up, then clear the task. "
        f"({_hidden(_short(text), options)})"
    )


def _place(uri: str, options: Mapping[str, str]) -> str:
    endpoint = _endpoint(options) if "://" in uri else None
    return f"{uri} at {endpoint}" if endpoint else uri


def _endpoint(options: Mapping[str, str]) -> str | None:
    known = {name.lower(): value for name, value in [*os.environ.items(), *options.items()]}
    return next((known[name] for name in _ENDPOINTS if name in known), None)


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= 400 else f"{flat[:150]} … {flat[-250:]}"


def _hidden(text: str, options: Mapping[str, str]) -> str:
    for name, value in [*os.environ.items(), *options.items()]:
        if re.search(r"(?i)secret|token|password", name) and len(value) > 3:
            text = text.replace(value, "***")
    return text
