from __future__ import annotations

import socket

from include.serving import paths
from include.serving.controller.processes import can_bind, free_port, last_log_line
from include.serving.gateway.config import Server

SERVER = Server("delay", 1, 9000)


def test_the_last_line_of_a_log_is_returned(home) -> None:
    assert last_log_line(SERVER) == "its log is empty"
    log = paths.log_file("delay", 1, 1)
    log.parent.mkdir(parents=True)
    log.write_text("first\nlast\n\n")
    assert last_log_line(SERVER) == "last"


def test_a_free_port_is_neither_taken_nor_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        used = listening.getsockname()[1]
        assert not can_bind(used)
        chosen = [free_port({used}) for _ in range(5)]
    assert used not in chosen
    assert can_bind(used)


def test_a_port_that_is_reserved_is_not_chosen() -> None:
    offered = []

    class FirstIsReserved(set):
        def __contains__(self, port: object) -> bool:
            offered.append(port)
            return len(offered) == 1

    assert free_port(FirstIsReserved()) == offered[1]
