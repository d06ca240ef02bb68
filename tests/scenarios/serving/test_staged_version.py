"""A staged version behind a real HAProxy: the test of a deployment reaches it, and no caller does."""

from __future__ import annotations

import httpx
import pytest

from include.errors import ServiceUnavailable
from include.serving.gateway import staged_access
from include.serving.gateway.callers import issue_token, list_tokens, revoke_tokens
from include.serving.gateway.staged_access import staged_token, wait_until_reachable
from tests.small_models import ROW

STAGED = {"X-Airworthy-Stage": "2"}
REQUEST_ID = "by-the-test"


def send(plane, headers):
    url = f"{plane.uri}/models/delay/invocations"
    headers = headers | {"X-Request-Id": REQUEST_ID}
    return httpx.post(url, json={"dataframe_records": [ROW]}, headers=headers, timeout=20)


def logged_statuses(plane):
    return [row["status"] for row in plane.logged(f"request_id = '{REQUEST_ID}'", "access_log")]


def test_only_the_token_of_the_test_reaches_the_staged_version(served, wait_for):
    served.settle(champion=1, challenger=2, weight=0)
    assert send(served, {}).json()["model"]["version"] == 1
    assert send(served, STAGED).status_code == 403
    with served.database.begin() as connection:
        token = issue_token(connection, "caller", [":all"], actor="ann")
    address = f"{served.uri}/models/delay/invocations"
    wait_until_reachable(address, {"Authorization": f"Bearer {token}"})
    assert send(served, STAGED | {"Authorization": f"Bearer {token}"}).status_code == 403
    with served.database.begin() as connection:
        revoke_tokens(connection, "caller", actor="ann")
    with staged_token(served.database, "delay", actor="ann") as own:
        headers = STAGED | {"Authorization": f"Bearer {own}"}
        wait_until_reachable(address, headers)
        answer = send(served, headers)
        assert (answer.status_code, answer.json()["model"]["version"]) == (200, 2)
        assert send(served, {"Authorization": f"Bearer {own}"}).status_code == 403
    with served.database.connect() as connection:
        assert all(token.revoked_at for token in list_tokens(connection))
    # What the deployment asked is no traffic; who is refused is in the access log.
    wait_for(
        lambda: logged_statuses(served) == [200, 403, 403, 403], describe=lambda: str(logged_statuses(served))
    )


def test_version_that_is_not_there_is_not_reached(served, monkeypatch):
    monkeypatch.setattr(staged_access, "REACHABLE_TIMEOUT_S", 2.0)
    address = f"{served.uri}/models/delay/invocations"
    with staged_token(served.database, "delay", actor="ann") as own:
        headers = {"X-Airworthy-Stage": "77", "Authorization": f"Bearer {own}"}
        with pytest.raises(ServiceUnavailable, match="does not reach the staged version after 2 s: 503"):
            wait_until_reachable(address, headers)
