from __future__ import annotations

import pytest

from include.serving.gateway.callers import list_tokens, token_digest


@pytest.fixture
def stored(database, set_settings):
    """Return a function that reads the tokens."""
    set_settings(database_url=database.url.render_as_string(hide_password=False))

    def read():
        with database.connect() as connection:
            return list_tokens(connection)

    return read


def test_token_is_shown_once_and_stored_as_a_digest(stored, airworthy):
    created = airworthy("tokens", "create", "site", "--model", "flight_delay", "--metrics", "--rate", "5")
    (token,) = stored()
    assert token.digest == token_digest(created.out.strip())
    assert (token.scopes, token.rate) == ((":metrics", "flight_delay"), 5)
    listed = airworthy("tokens", "list")
    assert token.name in listed.out
    assert created.out.strip() not in listed.out
    (row,) = airworthy("tokens", "list", "--json").value
    assert (row["caller"], row["revoked"]) == ("site", None)


def test_revoked_token_is_listed_as_such(stored, airworthy):
    airworthy("tokens", "create", "site", "--all-models")
    assert airworthy("tokens", "revoke", "site").out == "1 token revoked.\n"
    assert stored()[0].revoked_at is not None
    assert airworthy("tokens", "revoke", "site").code == 1


def test_token_without_a_scope_is_refused(stored, airworthy):
    assert airworthy("tokens", "create", "site").code == 1
    assert stored() == []
