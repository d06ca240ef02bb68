"""Tokens of the gateway's callers: issued once, stored as SHA-256, and given to HAProxy as a map."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, insert, select, update

from include.database.tables import caller_token
from include.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from sqlalchemy import Connection

ALL_MODELS = ":all"
HISTORY = ":history"
METRICS = ":metrics"
# Versions that are staged, which no other scope reaches.
STAGING = ":staging"
# Names what it is, so that scanners of repositories and logs find it.
PREFIX = "airworthy_"
TOKEN_BYTES = 32
CALLER_PATTERN = r"[a-z0-9][a-z0-9_.-]{0,62}"
# By so much of its digest a token is named when it is revoked.
SHOWN_DIGEST_LENGTH = 12


@dataclass(frozen=True, slots=True)
class CallerToken:
    """
    A token as it is stored.

    `scopes` are names of use cases, and `:all`, `:history`, `:metrics`; `rate` is the limit in requests per
    second, 0 without one.
    """

    digest: str
    caller: str
    scopes: tuple[str, ...]
    rate: int
    created_at: datetime
    created_by: str
    revoked_at: datetime | None
    revoked_by: str | None

    @property
    def name(self) -> str:
        """The beginning of the digest, which names the token."""
        return self.digest[:SHOWN_DIGEST_LENGTH]


def issue_token(
    connection: Connection, caller: str, scopes: Collection[str], *, rate: int = 0, actor: str
) -> str:
    """
    Return a new token of a caller; it is stored nowhere and cannot be shown again.

    A caller can have several, so that one is replaced before the other is revoked.

    Raises
    ------
    DataError
        If the caller's name is not valid, or there is no scope.
    """
    if not re.fullmatch(CALLER_PATTERN, caller):
        raise DataError(f"{caller!r} is no name of a caller: use lower-case letters, digits and _.-")
    if not scopes:
        raise DataError(f"The token of {caller} has no scope: name a model, or what else it may read.")
    token = PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
    values = {"caller": caller, "scopes": sorted(set(scopes)), "rate": rate, "created_by": actor}
    connection.execute(insert(caller_token).values(digest=token_digest(token), **values))
    return token


def revoke_tokens(connection: Connection, name: str, *, actor: str) -> int:
    """
    Revoke the token of this name, or all tokens of the caller of this name; return how many.

    Raises
    ------
    DataError
        If there is none that is valid.
    """
    is_meant = (caller_token.c.caller == name) | (
        func.left(caller_token.c.digest, SHOWN_DIGEST_LENGTH) == name
    )
    values = {"revoked_at": func.clock_timestamp(), "revoked_by": actor}
    is_valid = caller_token.c.revoked_at.is_(None)
    count = connection.execute(update(caller_token).where(is_meant, is_valid).values(values)).rowcount
    if not count:
        raise DataError(f"There is no valid token {name!r}, and no caller with one: see `tokens list`.")
    return count


def list_tokens(connection: Connection) -> list[CallerToken]:
    """Return all tokens, also revoked ones, ordered by caller and age."""
    query = select(caller_token).order_by(caller_token.c.caller, caller_token.c.created_at)
    rows = connection.execute(query).mappings()
    return [CallerToken(**dict(row) | {"scopes": tuple(row["scopes"])}) for row in rows]


def token_digest(token: str) -> str:
    """Return the SHA-256 of a token in hexadecimal digits."""
    return hashlib.sha256(token.encode()).hexdigest()


def grant_entries(tokens: Collection[CallerToken]) -> dict[str, str]:
    """
    Return the entries of HAProxy's map: caller and rate by digest, and one key for each permission.

    HAProxy looks up the digest of what a caller sends. How long that takes depends on the digest alone, from
    which a token cannot be guessed.
    """
    entries = {}
    for token in tokens:
        if token.revoked_at is None:
            entries[token.digest] = f"{token.caller}|{token.rate}"
            entries |= {f"{token.digest}/{scope}": "granted" for scope in token.scopes}
    return entries
