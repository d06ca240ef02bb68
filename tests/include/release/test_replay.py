from __future__ import annotations

import include.specifications
from include.release.replay import why_not_replayable
from include.use_cases.flight_delay import USE_CASE
from tests.personal_columns import declare_personal


def test_requests_without_personal_features_are_replayed():
    assert why_not_replayable(USE_CASE) == ""


def test_requests_with_personal_features_are_not_replayed(monkeypatch):
    personal = declare_personal("carrier")
    monkeypatch.setattr(include.specifications, "catalog", lambda: personal)
    assert why_not_replayable(USE_CASE) == "carrier are personal, and not in the inference log"
