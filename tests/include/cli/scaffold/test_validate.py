from __future__ import annotations

from include.catalog import discover
from tests.include.scaffold import conftest as scaffold
from tests.plugins.conftest import pin_catalog

declared_folders = scaffold.declared_folders


def test_validate_names_a_faulty_file(airworthy, declared_folders, monkeypatch):
    pin_catalog(monkeypatch, discover("include"))
    assert airworthy("validate").out.startswith("✓ declarations")
    (declared_folders / "use_cases" / "broken.py").write_text("USE_CASE = 1\n")
    pin_catalog(monkeypatch, discover("include"))
    result = airworthy("validate", "--json")
    assert (result.code, result.value["valid"]) == (1, False)
    assert result.value["steps"][0]["location"] == "include/use_cases/broken.py"
