from __future__ import annotations

import stat


def test_secrets_are_written_once(tmp_path, airworthy):
    file = tmp_path / ".env"
    result = airworthy("compose", "env", "--file", file)
    assert result.code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = airworthy("compose", "env", "--file", file)
    assert again.code == 1
    assert "exists" in again.err


def test_unknown_step_is_refused_with_the_known_ones(airworthy):
    result = airworthy("compose", "setup", "bukets")
    assert result.code == 1
    assert "databases, buckets, keys, login, connections" in result.err
