"""Online features through the gateway: a caller sends a key, the model server looks up the features."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.include.serving.model_server.conftest import DAY, feature_server
from tests.small_models import COLUMNS

__all__ = ["feature_server"]


@pytest.fixture
def gateway(feature_server: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a running plane that serves a declared use case with online features."""
    monkeypatch.setenv("AIRWORTHY_FEATURES_URI", feature_server)
    plane = request.getfixturevalue("plane")
    for version in (1, 2):
        plane.make("delay_band", version, answer=version / 10)
    plane.settle("delay_band", seconds=60, champion=1, previous=None, challenger=2, weight=10_000)
    return plane


def test_a_key_through_the_gateway_is_looked_up(gateway: Any, wait_for: Any) -> None:
    def by_key(key: str) -> httpx.Response:
        for _ in range(50):  # a look-up may exceed the time limit on a busy machine
            answer = gateway.ask("delay_band", dataframe_records=[{"flight_id": key}])
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
        return answer

    wait_for(lambda: by_key(f"flight_id-{DAY}-1").json()["predictions"] == [0.2], 30, gateway.logs)
    unknown = by_key("unknown")
    assert unknown.status_code == 404
    assert "of flight_id unknown is not online" in unknown.json()["message"]
    wait_for(lambda: gateway.logged("entity_id = 'flight_id-2013-07-01-1'"), 10, gateway.logs)
    row = gateway.logged("entity_id = 'flight_id-2013-07-01-1'")[-1]
    assert set(row["inputs"][0]) == {*COLUMNS, "flight_id"}
