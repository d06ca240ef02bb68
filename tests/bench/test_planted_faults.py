from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from include.database.tables import connect
from tests.bench.planted_faults import FAULTS, plant_all, render
from tests.bench.service_world import SERVICE_FAULTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.planted_faults import Outcome
    from tests.conftest import PostgresServer

TITLES = [*(fault.title for fault in FAULTS), "duplicated upstream rows (one of ten)"]
TITLES += [fault.title for fault in SERVICE_FAULTS]


@pytest.fixture(scope="module")
def outcomes(
    postgres: PostgresServer, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Outcome]]:
    engine = connect(postgres.create_database("planted", migrated_template))
    yield {outcome.title: outcome for outcome in plant_all(tmp_path_factory.mktemp("planted"), engine)}
    engine.dispose()


@pytest.mark.parametrize("title", TITLES)
def test_planted_fault_is_found_named_and_answered(outcomes: dict[str, Outcome], title: str) -> None:
    outcome = outcomes[title]
    assert outcome.named is not None
    assert outcome.decided is not None, outcome
    assert (outcome.early, outcome.other) == ((), ()), outcome


def test_page_has_the_outcomes(outcomes: dict[str, Outcome]) -> None:
    page = Path(__file__).parents[2] / "docs" / "explanation" / "planted-faults.md"
    assert render(list(outcomes.values())) in page.read_text()
