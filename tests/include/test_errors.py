"""Errors and the pages that say what to do about them."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from include import errors

REPOSITORY = Path(__file__).parents[2]
PAGES = {
    errors.CertificateInvalid: "certificate-refused",
    errors.GateFailed: "gate-refused",
    errors.QualityFailed: "ingestion-refused",
    errors.PartitionMissing: "late-data",
    errors.RolloutFailed: "rollout-rolled-back",
    errors.ReleasesFrozen: "releases-frozen",
    errors.AttentionNeeded: "drift-alarm",
}


@pytest.mark.parametrize("kind", PAGES)
def test_error_names_a_runbook_that_exists(kind):
    page = errors.runbook_of(kind("why"))
    assert page == f"docs/runbooks/{PAGES[kind]}.md"
    assert (REPOSITORY / page).is_file()
    assert errors.describe_failure(kind("why")) == f"why\nRunbook: {page}"


def test_database_that_is_away_names_its_runbook():
    error = OperationalError("SELECT 1", {}, Exception("connection refused"))
    assert errors.runbook_of(error) == "docs/runbooks/database-away.md"


@pytest.mark.parametrize("error", [None, ValueError("why"), errors.ReleaseError("why")])
def test_other_errors_name_no_runbook(error):
    assert errors.runbook_of(error) == ""
    assert errors.describe_failure(error or ValueError("why")) == "why"
