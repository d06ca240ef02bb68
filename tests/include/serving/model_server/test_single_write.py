from __future__ import annotations

import asyncio

from include.serving.model_server.single_write import _SingleWriteTransport


class Wire:
    """A transport that records each write."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


def test_head_and_body_are_sent_in_one_write():
    async def write() -> Wire:
        wire = Wire()
        transport = _SingleWriteTransport(wire)
        transport.write(b"head")
        transport.write(b"body")
        assert wire.writes == []
        await asyncio.sleep(0)
        return wire

    assert asyncio.run(write()).writes == [b"headbody"]


def test_pending_data_is_sent_before_the_connection_closes():
    async def write() -> Wire:
        wire = Wire()
        transport = _SingleWriteTransport(wire)
        transport.write(b"last")
        transport.close()
        await asyncio.sleep(0)
        return wire

    wire = asyncio.run(write())
    assert (wire.writes, wire.is_closing()) == ([b"last"], True)


def test_each_part_is_sent_once():
    async def write() -> Wire:
        wire = Wire()
        transport = _SingleWriteTransport(wire)
        for part in (b"first", b"second"):
            transport.write(part)
            await asyncio.sleep(0)
        return wire

    assert asyncio.run(write()).writes == [b"first", b"second"]
