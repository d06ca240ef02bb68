from __future__ import annotations

import pytest

from include.release import rollout


@pytest.fixture
def rolling(database, set_settings):
    """Return the engine of a database in which version 2 of flight_delay is rolled out over version 1."""
    lease = rollout.begin(database, "flight_delay", 1, owner="run-1", actor="nightly")
    rollout.promote(database, lease, reason="every step passed", evidence={})
    rollout.begin(database, "flight_delay", 2, owner="run-2", actor="nightly")
    set_settings(database_url=database.url.render_as_string(hide_password=False))
    return database


def test_unlock_ends_the_rollout_of_a_lost_run(rolling, airworthy):
    result = airworthy("release", "unlock", "flight_delay", "--reason", "its run is gone")
    assert result.code == 0
    assert "version 2 of flight_delay by run-2 has ended; version 1 gets" in " ".join(result.out.split())
    with rolling.connect() as connection:
        assert rollout.read_state(connection, "flight_delay").challenger is None


def test_unlock_without_a_rollout_ends_with_1(rolling, airworthy):
    unlock = ("release", "unlock", "flight_delay", "--reason", "its run is gone", "--json")
    assert airworthy(*unlock).value == {"use_case": "flight_delay", "version": 2, "owner": "run-2"}
    result = airworthy(*unlock)
    assert result.code == 1
    assert "nothing to unlock" in result.err
