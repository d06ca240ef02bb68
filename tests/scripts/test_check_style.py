from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scripts import check_style

if TYPE_CHECKING:
    from pathlib import Path

MODULE = "include/example.py"
TEST_MODULE = "tests/test_example.py"
LONG_TEST_NAME = "test_" + "x" * 56
EIGHT_PARAMETERS = "a, b, c, d, e, f, g, h"
SEVEN_PARAMETERS = "self, a, b, c, d, e, f, g, *args, **options"

BROKEN = [
    ("parallel-assignment", MODULE, "a, b = 1, 2"),
    ("parallel-assignment", MODULE, "[a, b] = [b, c]"),
    ("parallel-assignment", MODULE, "a = b = 1"),
    ("nested-comprehension", MODULE, "rows = [[cell for cell in row] for row in table]"),
    ("nested-comprehension", MODULE, "rows = [row for row in table if any(cell for cell in row)]"),
    ("nested-comprehension", MODULE, "rows = {name: [cell for cell in row] for name, row in table}"),
    ("nested-comprehension", MODULE, "cells = [cell for row in table for cell in row]"),
    ("nested-conditional", MODULE, "value = 1 if a else 2 if b else 3"),
    ("nested-conditional", MODULE, "value = f(1 if a else 2) if b else 3"),
    ("old-word", MODULE, "found = 1"),
    ("old-word", MODULE, "_found = 1"),
    ("old-word", MODULE, "found: int = 1"),
    ("old-word", MODULE, "rows = [each for each in table]"),
    ("old-word", MODULE, "def read(*, place): ..."),
    ("old-word", MODULE, "def answers(): ..."),
    ("old-word", MODULE, "class Narrator: ..."),
    ("old-word", MODULE, "import rows as known"),
    ("old-word", MODULE, "def keep(self):\n    self.kept = 1"),
    ("old-word", MODULE, "try:\n    f()\nexcept OSError as one:\n    raise"),
    ("old-word", MODULE, "match row:\n    case [*theirs]: ..."),
    ("old-word", MODULE, "PATIENCE = 1"),
    ("old-word", MODULE, "MOST_ROWS = 1"),
    ("old-word", "include/narrator.py", ""),
    ("test-name", TEST_MODULE, f"def {LONG_TEST_NAME}(): ..."),
    ("test-name", TEST_MODULE, f"async def {LONG_TEST_NAME}(): ..."),
    ("fixed-sleep", TEST_MODULE, "time.sleep(1)"),
    ("fixed-sleep", TEST_MODULE, "sleep(0.3)"),
    ("fixed-sleep", TEST_MODULE, "asyncio.sleep(delay=0.3)"),
    ("file-length", MODULE, "\n" * 351),
    ("function-length", MODULE, "def f():\n" + "    g()\n" * 50),
    ("parameters", MODULE, f"def f({EIGHT_PARAMETERS}): ..."),
    ("parameters", MODULE, f"def f(*, {EIGHT_PARAMETERS}): ..."),
]

CLEAN = [
    (MODULE, "a, b = b, a"),
    (MODULE, "rows[i], rows[j] = rows[j], rows[i]"),
    (MODULE, "a, b = read()"),
    (MODULE, "pair = 1, 2"),
    (MODULE, "rows = [row for row in [cell for cell in cells] if row]"),
    (MODULE, "value = 1 if a else 2\nother = 1 if b else 2"),
    (MODULE, "now = 1\nmost = 2\nfounder = 3"),
    (MODULE, "rows_found = 1\nrows = table.found\ntable.found = 1\nread(found=1)"),
    (MODULE, "from hypothesis import given"),
    ("tests/narrator.py", ""),
    (TEST_MODULE, f"def {LONG_TEST_NAME[:-1]}(): ..."),
    (TEST_MODULE, f"def make_{LONG_TEST_NAME}(): ..."),
    (TEST_MODULE, "time.sleep(0.2)\ntime.sleep(INTERVAL_S)\nrest(5)"),
    (MODULE, "time.sleep(1)"),
    (MODULE, "\n" * 350),
    (MODULE, "def f():\n" + "    g()\n" * 49),
    (MODULE, f"def f({SEVEN_PARAMETERS}): ..."),
]

SHARED = [
    "class Decision: ...",
    "def _read(): ...",
    "async def read(): ...",
]

NOT_SHARED = [
    "def main(): ...",
    "def build_model(): ...",
    "def upgrade(): ...",
    "def __getattr__(name): ...",
    "DECISION = 1",
    "if TYPE_CHECKING:\n    from rows import Decision",
]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(project: Path, name: str, text: str) -> Path:
    path = project / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def rules_broken_by(project: Path) -> list[str]:
    modules = check_style.load_modules([project])
    return [violation.rule for violation in check_style.find_violations(modules)]


@pytest.mark.parametrize(("rule", "name", "text"), BROKEN)
def test_rule_on_broken_code_fires_alone(project, rule, name, text):
    write(project, name, text)
    assert rules_broken_by(project) == [rule]


@pytest.mark.parametrize(("name", "text"), CLEAN)
def test_rules_on_clean_code_keep_quiet(project, name, text):
    write(project, name, text)
    assert rules_broken_by(project) == []


@pytest.mark.parametrize("text", SHARED)
def test_name_defined_in_two_modules_fires_in_both(project, text):
    write(project, MODULE, text)
    write(project, "plugins/airworthy/other.py", text)
    assert rules_broken_by(project) == ["two-meanings", "two-meanings"]


@pytest.mark.parametrize("text", NOT_SHARED)
def test_prescribed_name_in_two_modules_is_allowed(project, text):
    write(project, MODULE, text)
    write(project, "plugins/airworthy/other.py", text)
    assert rules_broken_by(project) == []


@pytest.mark.parametrize("name", ["tests/other.py", "dags/other.py", "scripts/other.py"])
def test_name_shared_outside_the_packages_is_allowed(project, name):
    write(project, MODULE, "class Decision: ...")
    write(project, name, "class Decision: ...")
    assert rules_broken_by(project) == []


def test_homonym_in_the_table_is_allowed(project, monkeypatch):
    monkeypatch.setitem(check_style.ALLOWED_HOMONYMS, "Decision", "two libraries prescribe it")
    write(project, MODULE, "class Decision: ...")
    write(project, "include/other.py", "class Decision: ...")
    assert rules_broken_by(project) == []


def test_main_with_findings_prints_them_and_fails(project, capsys):
    write(project, MODULE, "rows = 1\nfound = 2\n")
    assert check_style.main(["include"]) == 1
    expected = "include/example.py:2: old-word: `found` is a retired name; use "
    assert capsys.readouterr().out.startswith(expected)


def test_main_without_findings_prints_nothing(project, capsys):
    path = write(project, MODULE, "rows = 1\n")
    assert check_style.main([str(path)]) == 0
    assert capsys.readouterr().out == ""


def test_main_with_counts_prints_totals_per_rule_and_file(project, capsys):
    write(project, MODULE, "found = 1\nsaid = 2\na, b = 1, 2\nrows = 1\n")
    assert check_style.main(["--counts", "include"]) == 1
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["old-word", "2", "500.00"] in rows
    assert ["total", "3", "750.00"] in rows
    assert rows[-1] == ["3", "include/example.py"]


def test_replacements_are_not_retired_themselves():
    words = check_style.OLD_WORDS.keys() | check_style.OLD_CONSTANT_PARTS.keys()
    replacements = [*check_style.OLD_WORDS.values(), *check_style.OLD_MODULES.values()]
    assert words.isdisjoint(" ".join(replacements).replace(",", "").split())
