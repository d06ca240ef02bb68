"""Pages: tables of fields agree with the declarations; links of pages outside the site lead to files."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

import include.declarations as declarations

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"
# The strict build of the site checks the links of docs/.
OUTSIDE = sorted({*REPOSITORY.glob("*.md"), *(REPOSITORY / ".github").rglob("*.md")})
LINK = re.compile(r"\]\(([^)\s]+)\)")
# The head of a table that lists every field of a declaration, and its rows.
FIELD_TABLE = re.compile(r"^\| field of `(\w+)` \| default \| meaning \|\n\|[-|]+\|\n((?:\|.*\|\n)+)", re.M)
FIELD = re.compile(r"^\| `(\w+)` \| `(.*?)` \| ", re.M)


def field_tables(page: str) -> dict[str, dict[str, str]]:
    """Return the default of each field, as it is written, by the names of the declarations."""
    return {name: dict(FIELD.findall(rows)) for name, rows in FIELD_TABLE.findall(page)}


def wrong_fields(name: str, written: dict[str, str]) -> list[str]:
    """Return the fields of a declaration that a table leaves out, invents, or gives another default."""
    declared = {
        field: info.get_default(call_default_factory=True)
        for field, info in getattr(declarations, name).model_fields.items()
    }
    others = sorted(set(written) ^ set(declared))
    names = {"timedelta": timedelta, "__builtins__": {}}
    return others + [
        field for field, text in written.items() if field in declared and eval(text, names) != declared[field]
    ]


def all_tables() -> dict[str, tuple[str, dict[str, str]]]:
    """Return the name of the declaration and the fields of each table, by its page and that name."""
    tables = {}
    for path in sorted(DOCS.rglob("*.md")):
        for name, table in field_tables(path.read_text()).items():
            tables[f"{path.relative_to(DOCS).as_posix()}:{name}"] = (name, table)
    return tables


TABLES = all_tables()


@pytest.mark.parametrize("table", TABLES)
def test_field_tables_are_those_of_the_code(table):
    name, written = TABLES[table]
    assert wrong_fields(name, written) == [], f"correct the table in docs/{table.partition(':')[0]}"


def test_wrong_field_table_is_found():
    page = (
        "| field of `Slo` | default | meaning |\n|---|---|---|\n"
        "| `availability` | `0.99` | share |\n| `window_days` | `28` | days |\n| `wrong` | `1` | |\n"
    )
    assert wrong_fields("Slo", field_tables(page)["Slo"]) == [
        "feature_age_s",
        "label_coverage",
        "latency_p99_ms",
        "minimum_requests",
        "quality",
        "quality_days",
        "rate",
        "wrong",
        "availability",
    ]


def broken_links(path: Path) -> list[str]:
    """Return the relative links of a page that lead to no file."""
    targets = [link.partition("#")[0] for link in LINK.findall(path.read_text())]
    relative = [target for target in targets if target and ":" not in target]
    return [target for target in relative if not (path.parent / target).exists()]


@pytest.mark.parametrize("page", [path.relative_to(REPOSITORY).as_posix() for path in OUTSIDE])
def test_links_outside_the_site_lead_to_files(page):
    assert broken_links(REPOSITORY / page) == []


def test_broken_link_of_a_page_is_found(tmp_path):
    page = tmp_path / "README.md"
    page.write_text("[a](README.md#part) [b](missing.md) [c](https://example.org/x) [d](#part)")
    assert broken_links(page) == ["missing.md"]
