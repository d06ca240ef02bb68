"""Reader of losses that looks for labels once in a while."""

from __future__ import annotations

import pytest

from airworthy.triggers import rollout_losses as module
from airworthy.triggers.rollout_losses import LossReader
from include.errors import DataError
from include.monitoring import rollout_losses


@pytest.fixture
def looks(monkeypatch):
    """Return the looks at the labels; each gives their number so far, or raises the error in `fails`."""
    made = []

    def read(connection, lake, use_case, version):
        made.append(version)
        if use_case.fails:
            raise DataError("several labels")
        return len(made)

    monkeypatch.setattr(rollout_losses, "read_losses", read)
    return made


class Case:
    name = "late"
    fails = False


def test_labels_are_read_once_in_an_interval(looks, monkeypatch):
    reader = LossReader("a lake")
    assert [reader.read(None, Case, 2) for _ in range(3)] == [1, 1, 1]
    monkeypatch.setattr(module, "LABELS_INTERVAL_S", 0.0)
    assert reader.read(None, Case, 2) == 2


def test_first_look_may_wait(looks):
    assert LossReader("a lake", wait_s=60.0).read(None, Case, 2) is None
    assert LossReader(None).read(None, Case, 2) is None
    assert not looks


def test_labels_that_cannot_be_joined_are_not_judged(looks, monkeypatch, caplog):
    monkeypatch.setattr(Case, "fails", True)
    assert LossReader("a lake").read(None, Case, 2) is None
    assert "no labels to judge by: several labels" in caplog.text
