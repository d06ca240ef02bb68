"""Lines of files: blocks of whole lines in UTF-8, with the number of the first line of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.data.sources.formats import Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BOM = b"\xef\xbb\xbf"


def line_blocks(chunks: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """
    Yield the number of the first line, and some whole lines; the last line ends like the others.

    Raises
    ------
    Unreadable
        With the line that is not encoded in UTF-8.
    """
    number = 1
    for block in _whole_lines(chunks):
        content = block.removeprefix(BOM) if number == 1 else block
        _require_utf8(content, number)
        yield number, content
        number += count_lines(content)


def count_lines(content: bytes) -> int:
    """Return the number of line ends: LF, CRLF or CR."""
    carriage_returns = content.count(b"\r")
    lone = carriage_returns - content.count(b"\r\n") if carriage_returns else 0
    return content.count(b"\n") + lone


def split_block(content: bytes, size: int) -> Iterator[bytes]:
    """Yield the block in parts of whole lines, each of about `size` bytes."""
    start = 0
    while start < len(content):
        end = content.find(b"\n", start + size) + 1 or len(content)
        yield content[start:end]
        start = end


def _whole_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        content = rest + chunk
        end = content.rfind(b"\n") + 1
        rest = content[end:]
        if end:
            yield content[:end]
    if rest:
        yield rest + b"\n"


def _require_utf8(content: bytes, number: int) -> None:
    try:
        content.decode()
    except UnicodeDecodeError as error:
        line = number + count_lines(content[: error.start])
        raise Unreadable(
            f"is not encoded in UTF-8: byte 0x{content[error.start]:02x} in line {line}"
        ) from error
