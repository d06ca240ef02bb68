from __future__ import annotations

import asyncio
import gzip
from functools import partial
from typing import TYPE_CHECKING

import pytest

from include.inference.requests.request_body import MAX_BODY_BYTES, BadRequest, decode_body, read_body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

BODY = b'{"instances": [[1]]}'
# Without a time, so that each process of a test run collects the same bytes.
compress = partial(gzip.compress, mtime=0)


async def in_parts(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (BODY, ""),
        (BODY, "identity"),
        (b"\xef\xbb\xbf" + BODY, ""),
        (compress(BODY), "gzip"),
        (compress(b"\xef\xbb\xbf" + BODY), " GZIP "),
        (compress(BODY[:7]) + compress(BODY[7:]), "x-gzip"),
    ],
)
def test_a_body_is_decompressed_without_its_mark(body, encoding) -> None:
    assert decode_body(body, encoding) == BODY


@pytest.mark.parametrize(
    ("body", "encoding", "status", "message"),
    [
        (BODY, "br", 415, "br is not supported"),
        (BODY, "gzip, gzip", 415, "not supported"),
        (BODY, "gzip", 400, "not gzip"),
        (compress(BODY)[:-5], "gzip", 400, "incomplete"),
        (compress(BODY) + b"more", "gzip", 400, "not gzip"),
        (compress(b" " * (MAX_BODY_BYTES + 1)), "gzip", 413, "bytes decompressed"),
        (compress(b" " * MAX_BODY_BYTES) + compress(b" "), "gzip", 413, "bytes decompressed"),
    ],
)
def test_a_body_that_cannot_be_decoded_is_refused(body, encoding, status, message) -> None:
    with pytest.raises(BadRequest, match=message) as refused:
        decode_body(body, encoding)
    assert refused.value.status == status


def test_a_body_is_read_up_to_the_limit() -> None:
    half = b" " * (MAX_BODY_BYTES // 2)
    assert len(asyncio.run(read_body(in_parts(half, half), ""))) == MAX_BODY_BYTES
    with pytest.raises(BadRequest, match="Send fewer rows") as refused:
        asyncio.run(read_body(in_parts(half, half, b" "), ""))
    assert refused.value.status == 413
