"""Fixtures of a rollout of version 2: its run, its lease, and an untrusted key."""

from __future__ import annotations

import pytest

from airworthy.operators import promotion as promoting
from airworthy.operators import rollout as rollouts
from airworthy.operators import staging, traffic
from include.certificates.certificate import generate_keys
from include.database import ledger
from include.modeling.registry.registry import DIGEST
from include.settings import settings
from tests.plugins.airworthy.operators.rollout_steps import begin


@pytest.fixture
def defer_soon(monkeypatch):
    """Shorten the time that operators wait before they defer."""
    for module in (promoting, rollouts, staging, traffic):
        monkeypatch.setattr(module, "INLINE_WAIT", 0.1)


@pytest.fixture
def certified(certified, database, registry):
    """Return the use case with both versions registered in the ledger."""
    with database.begin() as connection:
        for version in (1, 2):
            evidence = {"digest": registry.tags_of(certified.name, version)[DIGEST]}
            entry = ledger.Entry(certified.name, "registered", "ann", "passed", version, evidence)
            ledger.append(connection, entry)
    return certified


@pytest.fixture
def second(context):
    """Return the context of a run that deploys version 2."""
    return context({"triggering_user_name": "ann"}, params={"version": 2})


@pytest.fixture
def lease(champion, second):
    return begin(champion, second)


@pytest.fixture
def distrust(tmp_path, monkeypatch):
    """Return a function that replaces the trusted keys."""

    def change():
        generate_keys(tmp_path / "keys")
        monkeypatch.setenv("AIRWORTHY_HOME", str(tmp_path))
        settings.cache_clear()

    return change
