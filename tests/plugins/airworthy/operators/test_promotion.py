"""PromoteModelOperator with PostgreSQL and MLflow."""

from __future__ import annotations

import pytest

from airworthy import run_context
from airworthy.operators import promotion as promoting
from include.database import ledger
from include.errors import CertificateInvalid, ReleaseError, ServiceUnavailable
from include.modeling.registration import versions
from include.release import rollout
from include.settings import settings
from tests.plugins.airworthy.operators.rollout_fixtures import certified, defer_soon, distrust, lease, second
from tests.plugins.airworthy.operators.rollout_steps import (
    LIVE,
    NOT_LIVE,
    begin,
    deferred,
    ledger_events,
    promotion,
    shift,
    state,
)

__all__ = ["certified", "defer_soon", "distrust", "lease", "second"]
pytestmark = pytest.mark.usefixtures("defer_soon")


def test_version_with_an_untrusted_certificate_is_not_promoted(champion, database, lease, second, distrust):
    deferred(shift(champion, lease, percent=100), second)
    distrust()
    with pytest.raises(CertificateInvalid, match="unknown"):
        promotion(champion, lease).execute(second)
    assert state(database, champion).champion == 1


def test_challenger_with_all_traffic_is_promoted(champion, database, registry, lease, second):
    deferred(shift(champion, lease, percent=100), second)
    waiting = deferred(promotion(champion, lease), second)
    assert waiting.method_name == "confirm_live"
    assert waiting.trigger.stage is None
    now = state(database, champion)
    assert (now.champion, now.previous, now.challenger) == (2, 1, None)
    aliases = registry._client.get_registered_model(champion.name).aliases
    assert {name: int(version) for name, version in aliases.items()} == {"champion": 2, "previous": 1}
    with database.connect() as connection:
        (entry, *_) = ledger.ledger_entries(connection, champion.name)
    certificate = versions.verify_version(registry, champion.name, 2, trusted=settings().trusted_keys)
    assert entry["evidence"]["certificate"] == certificate.model_digest


@pytest.mark.parametrize("past", [[], ["approved", "rejected"]])
def test_promotion_without_an_approval_is_refused(champion, database, lease, second, monkeypatch, past):
    deferred(shift(champion, lease, percent=100), second)
    monkeypatch.setenv("AIRWORTHY_ENV", "prod")
    settings.cache_clear()
    answer_release(database, champion, second, *past)
    with pytest.raises(ReleaseError, match="no approval of the run"):
        promotion(champion, lease).execute(second)
    assert state(database, champion).champion == 1
    answer_release(database, champion, second, "approved")
    deferred(promotion(champion, lease), second)
    assert state(database, champion).champion == 2


def answer_release(database, use_case, run, *events):
    evidence = {"run": run_context.dag_run_key(run)}
    with database.begin() as connection:
        for event in events:
            ledger.append(connection, ledger.Entry(use_case.name, event, "bob", "decided", 2, evidence))


def test_repeated_promotion_is_recorded_once(champion, database, lease, second):
    deferred(shift(champion, lease, percent=100), second)
    for _ in range(2):
        deferred(promotion(champion, lease), second)
    assert ledger_events(database, champion)[-1] == "promoted"
    assert ledger_events(database, champion).count("promoted") == 2  # the first champion's, and this one


def test_challenger_with_part_of_the_traffic_is_not_promoted(champion, database, lease, second):
    deferred(shift(champion, lease, percent=25), second)
    with pytest.raises(ReleaseError, match="25 % of the traffic"):
        promotion(champion, lease).execute(second)
    assert state(database, champion).champion == 1


def test_exchanged_model_is_neither_begun_nor_promoted(champion, database, lease, second, monkeypatch):
    deferred(shift(champion, lease, percent=100), second)
    verify_version = versions.verify_version

    def exchanged(registry, use_case, version, **where):
        return verify_version(registry, use_case, 1, **where).model_copy(update={"model_digest": "0" * 64})

    monkeypatch.setattr(versions, "verify_version", exchanged)
    for step in (lambda: begin(champion, second), lambda: promotion(champion, lease).execute(second)):
        with pytest.raises(ReleaseError, match=r"version 2 was registered as the model .* the model 0000"):
            step()
    assert state(database, champion).champion == 1


def test_live_promotion_returns_its_version(champion, lease, second):
    assert promotion(champion, lease).confirm_live(second, dict(LIVE)) == 2


def test_promotion_that_is_live_at_once_is_not_deferred(champion, lease, second, follow, monkeypatch):
    deferred(shift(champion, lease, percent=100), second)
    monkeypatch.setattr(promoting, "INLINE_WAIT", 30.0)
    switch = rollout.promote

    def switch_and_follow(*args, **kwargs):
        switch(*args, **kwargs)
        follow(champion.name, v2="127.0.0.1:9002")

    monkeypatch.setattr(rollout, "promote", switch_and_follow)
    assert promotion(champion, lease).execute(second) == 2


def test_promotion_that_is_not_live_is_retried(champion, lease, second):
    with pytest.raises(ServiceUnavailable, match="the server of version 2 died"):
        promotion(champion, lease).confirm_live(second, dict(NOT_LIVE))
