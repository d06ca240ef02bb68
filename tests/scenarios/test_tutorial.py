"""The tutorial does what it says: its blocks that need no stack."""

from __future__ import annotations

import shlex

from include.catalog import discover
from tests.include import conftest as include_fixtures
from tests.include.cli import conftest as cli_fixtures
from tests.include.scaffold import conftest as scaffold_fixtures
from tests.plugins.conftest import pin_catalog
from tests.tutorial_blocks import TUTORIAL, code_blocks, commands

home = include_fixtures.home
airworthy = cli_fixtures.airworthy
declared_folders = scaffold_fixtures.declared_folders


def test_tutorial_declares_a_valid_model(airworthy, declared_folders, home, monkeypatch, tmp_path):
    blocks, later = code_blocks(TUTORIAL.read_text())
    monkeypatch.chdir(tmp_path)
    exec(blocks[0][1], {})
    make, new, validate, dry_run = (shlex.split(line) for line in commands(blocks))
    assert (make, dry_run[1:]) == (["make", "venv"], ["validate", "subscribers"])
    created = airworthy(*new[1:])
    assert created.code == 0, created.err
    # What the page shows stands in the output, but for the folders.
    assert "features: plan, tenure, monthly_fee, age\n1 landing files below" in created.out
    pin_catalog(monkeypatch, discover("include"))
    assert airworthy(*validate[1:]).code == 0
    assert commands(later)[1] == ".venv/bin/airworthy launch subscribers"
