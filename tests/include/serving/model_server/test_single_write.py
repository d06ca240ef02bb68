from __future__ import annotations

import asyncio

from include.serving.model_server.single_write import _SingleWriteTransport


class Wire:
    """Stands where the socket is, and keeps what arrived in one piece."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.pieces.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


def test_head_and_body_leave_in_one_piece():
    async def answer() -> Wire:
        wire = Wire()
        whole = _SingleWriteTransport(wire)
        whole.write(b"head")
        whole.write(b"body")
        assert wire.pieces == []
        await asyncio.sleep(0)
        return wire

    assert asyncio.run(answer()).pieces == [b"headbody"]


def test_what_was_written_leaves_before_the_connection_is_closed():
    async def answer() -> Wire:
        wire = Wire()
        whole = _SingleWriteTransport(wire)
        whole.write(b"last")
        whole.close()
        await asyncio.sleep(0)
        return wire

    wire = asyncio.run(answer())
    assert (wire.pieces, wire.is_closing()) == ([b"last"], True)


def test_nothing_is_sent_twice():
    async def answer() -> Wire:
        wire = Wire()
        whole = _SingleWriteTransport(wire)
        for part in (b"one", b"two"):
            whole.write(part)
            await asyncio.sleep(0)
        return wire

    assert asyncio.run(answer()).pieces == [b"one", b"two"]
