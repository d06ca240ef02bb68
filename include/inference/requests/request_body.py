"""The body of a request: read within its limit, decompressed, and refused with an HTTP status."""

from __future__ import annotations

import zlib
from codecs import BOM_UTF8
from typing import TYPE_CHECKING

from include.errors import DataError

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

MAX_BODY_BYTES = 2 * 1024 * 1024
# Makes zlib read the header and the checksum of gzip.
GZIP_WINDOW = 16 + zlib.MAX_WBITS
TOO_LARGE = 413
UNSUPPORTED = 415


class BadRequest(DataError):
    """A request that cannot be answered; `status` is the HTTP status of the response."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


async def read_body(stream: AsyncIterable[bytes], content_encoding: str) -> bytes:
    """
    Return the body of a request as its sender wrote it, decompressed.

    Parameters
    ----------
    stream
        The parts of the body as they arrive.
    content_encoding
        The header Content-Encoding; empty without one.

    Raises
    ------
    BadRequest
        If the body is too large, before or after decompression (413), compressed by other means than gzip
        (415), or no gzip (400).
    """
    parts = []
    size = 0
    async for part in stream:
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise BadRequest(
                f"The body has more than {MAX_BODY_BYTES} bytes. Send fewer rows at once.", TOO_LARGE
            )
        parts.append(part)
    return decode_body(b"".join(parts), content_encoding)


def decode_body(body: bytes, content_encoding: str) -> bytes:
    """
    Return a body decompressed and without a byte order mark.

    Raises
    ------
    BadRequest
        As `read_body`.
    """
    encoding = content_encoding.strip().lower()
    if encoding in {"gzip", "x-gzip"}:
        body = _decompress(body)
    elif encoding not in {"", "identity"}:
        raise BadRequest(
            f"Content-Encoding {encoding[:40]} is not supported; send gzip, or the body as it is.",
            UNSUPPORTED,
        )
    return body.removeprefix(BOM_UTF8)


def _decompress(body: bytes) -> bytes:
    """Return the content of a gzip file, which may have several members, within the limit of a body."""
    parts: list[bytes] = []
    room = MAX_BODY_BYTES + 1
    rest = body
    while rest:
        member = zlib.decompressobj(GZIP_WINDOW)
        try:
            part = member.decompress(rest, room)
        except zlib.error as error:
            raise BadRequest(f"The body is not gzip, as Content-Encoding says: {error}.") from error
        room -= len(part)
        parts.append(part)
        if not room:
            raise BadRequest(
                f"The body has more than {MAX_BODY_BYTES} bytes decompressed. Send fewer rows at once.",
                TOO_LARGE,
            )
        if not member.eof:
            raise BadRequest("The body is incomplete: its gzip data ends too early.")
        rest = member.unused_data
    return b"".join(parts)
