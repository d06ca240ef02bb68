"""RepairAliasesOperator with PostgreSQL and MLflow."""

from __future__ import annotations

import pytest

from airworthy.operators.aliases import RepairAliasesOperator


@pytest.fixture
def repair(context):
    return lambda: RepairAliasesOperator(task_id="repair_aliases").execute(context())


def test_aliases_are_set_to_the_desired_state(champion, registry, repair):
    registry.set_aliases(champion.name, champion=2, previous=1)
    assert repair() == {champion.name: ["champion", "previous"]}
    assert registry.set_aliases(champion.name, champion=1, challenger=None, previous=None) == []
    assert repair() == {}


def test_model_without_a_release_has_no_aliases(certified, registry, repair):
    assert repair() == {}
