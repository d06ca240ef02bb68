"""A second version, who holds its rollout, and an owner who no longer trusts the key."""

from __future__ import annotations

import pytest

from airworthy.operators import promotion as promoting
from airworthy.operators import staging, traffic
from include.certificates.certificate import generate_keys
from include.database import ledger
from include.modeling.registry.registry import DIGEST
from include.settings import settings
from tests.plugins.airworthy.operators.rollout.steps import (
    begin,
)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    for module in (promoting, staging, traffic):
        monkeypatch.setattr(module, "INLINE_WAIT", 0.1)


@pytest.fixture
def certified(certified, database, registry):
    """Return the use case whose versions the ledger knows."""
    with database.begin() as connection:
        for version in (1, 2):
            about = {"digest": registry.tags_of(certified.name, version)[DIGEST]}
            entry = ledger.Entry(certified.name, "registered", "ann", "passed", version, about)
            ledger.append(connection, entry)
    return certified


@pytest.fixture
def second(context):
    """Return the context of a run that deploys version 2."""
    return context({"triggering_user_name": "ann"}, params={"version": 2})


@pytest.fixture
def hold(champion, second):
    return begin(champion, second)


@pytest.fixture
def distrust(tmp_path, monkeypatch):
    """Return a way to believe other keys than those that certified the versions."""

    def change():
        generate_keys(tmp_path / "keys")
        monkeypatch.setenv("AIRWORTHY_HOME", str(tmp_path))
        settings.cache_clear()

    return change
