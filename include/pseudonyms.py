"""Pseudonyms of personal values: the same value has the same one, which does not reveal it."""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import Any

# What people see instead of a personal value.
MASK = "***"
PREFIX = "pseudonym:"
# Hexadecimal digits: two of a billion values have the same pseudonym with a probability below 1e-20.
LENGTH = 32


def pseudonym(value: Any, key: str) -> str:
    """
    Return the pseudonym of a value, or the value itself if it is one.

    It is a keyed hash (HMAC-SHA256, RFC 2104) of the value's text: without the key, nobody can find the value
    by trying all possible ones.

    Parameters
    ----------
    value
        Text or number.
    key
        Secret of the stack: `settings().pseudonym_key`.
    """
    text = str(value)
    if text.startswith(PREFIX):
        return text
    return f"{PREFIX}{hmac.new(key.encode(), text.encode(), sha256).hexdigest()[:LENGTH]}"
