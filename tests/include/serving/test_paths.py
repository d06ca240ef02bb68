from __future__ import annotations

import tempfile

from include.serving.paths import MAX_SOCKET_BYTES, socket_path
from include.settings import settings


def test_a_socket_is_below_the_home_if_its_path_is_short(home, monkeypatch) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        monkeypatch.setenv("AIRWORTHY_HOME", short)
        settings.cache_clear()
        assert str(socket_path("a.sock")) == f"{short}/run/a.sock"


def test_a_long_home_gets_a_short_private_socket_folder(home, monkeypatch) -> None:
    monkeypatch.setenv("AIRWORTHY_HOME", str(home / ("x" * 120)))
    settings.cache_clear()
    path = socket_path("a.sock")
    assert len(str(path)) < MAX_SOCKET_BYTES
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path == socket_path("a.sock")
    path.parent.rmdir()
