from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from include.serving.model_server.shadow import MAX_PENDING, MirroredRequest, Shadow
from include.serving.shadow_target import ShadowTarget, write_target

COPY = MirroredRequest(b"{}", {"x-request-id": "r1"})


@pytest.fixture
def challenger():
    """Return the address of a server, and the headers of the requests that it receives."""
    received = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            received.append(dict(self.headers))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}", received
    server.shutdown()
    server.server_close()


def test_copies_are_sent_to_the_target(challenger, tmp_path, wait_for) -> None:
    address, received = challenger
    write_target(tmp_path / "delay.json", ShadowTarget(1, 2, ("127.0.0.1:9", address), 1.0))
    shadow = Shadow(tmp_path / "delay.json", 1, replica=4)
    wait_for(lambda: shadow.wants("r1"))
    shadow.send(COPY)
    wait_for(lambda: len(received) == 1)
    assert received[0]["X-Airworthy-Route"] == "shadow"
    assert received[0]["x-request-id"] == "r1"


def test_the_share_selects_requests_by_their_id(tmp_path, wait_for) -> None:
    write_target(tmp_path / "delay.json", ShadowTarget(1, 2, ("127.0.0.1:9",), 0.5))
    shadow = Shadow(tmp_path / "delay.json", 1)
    request_ids = [f"request-{number}" for number in range(1_000)]
    wait_for(lambda: any(map(shadow.wants, request_ids)))
    selected = list(map(shadow.wants, request_ids))
    assert 400 < sum(selected) < 600
    assert selected == list(map(shadow.wants, request_ids))


def test_the_target_of_another_champion_is_ignored(tmp_path) -> None:
    write_target(tmp_path / "delay.json", ShadowTarget(3, 2, ("127.0.0.1:9",), 1.0))
    assert Shadow(tmp_path / "delay.json", 1)._read_target() is None
    assert Shadow(tmp_path / "delay.json", 3)._read_target() is not None


def test_copies_beyond_the_queue_are_dropped_and_counted(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(Shadow, "_send_all", lambda _: None)
    dropped = []
    shadow = Shadow(tmp_path / "delay.json", 1, dropped=lambda: dropped.append(1))
    for _ in range(MAX_PENDING + 3):
        shadow.send(COPY)
    assert len(dropped) == 3


def test_a_copy_that_is_not_answered_is_counted(free_port, tmp_path, wait_for) -> None:
    write_target(tmp_path / "delay.json", ShadowTarget(1, 2, (f"127.0.0.1:{free_port}",), 1.0))
    dropped = []
    failed = []
    shadow = Shadow(
        tmp_path / "delay.json",
        1,
        dropped=lambda: dropped.append(1),
        failed=lambda *args: failed.append(args),
    )
    wait_for(lambda: shadow.wants("r1"))
    shadow.send(COPY)
    wait_for(lambda: failed == [(COPY, 2)])
    assert dropped == [1]


def test_a_connection_that_the_server_closed_is_opened_again(challenger, tmp_path, wait_for) -> None:
    address, received = challenger
    write_target(tmp_path / "delay.json", ShadowTarget(1, 2, (address,), 1.0))
    failed = []
    shadow = Shadow(tmp_path / "delay.json", 1, failed=lambda *args: failed.append(args))
    wait_for(lambda: shadow.wants("r1"))
    # The server speaks HTTP/1.0 and closes each connection after its response.
    for number in (1, 2, 3):
        shadow.send(COPY)
        wait_for(lambda: len(received) == number)  # noqa: B023
    assert failed == []
