from __future__ import annotations

from tests.include.scaffold import conftest as scaffold
from tests.include.scaffold.sample_files import write_customers

declared_folders = scaffold.declared_folders


def test_new_writes_declarations_and_landing_files(airworthy, tmp_path, declared_folders, home):
    source = write_customers(tmp_path)
    shown = airworthy("new", source, "--owner", "crm", "--dry-run")
    assert shown.code == 0, shown.err
    assert 'owner="crm"' in shown.out
    assert not (declared_folders / "use_cases" / "customers.py").exists()
    written = airworthy("new", source, "--owner", "crm", "--json").value
    assert (written["model"], written["label"], written["task"]) == ("customers", "churn", "binary")
    assert (declared_folders / "use_cases" / "customers.py").exists()
    assert (home / "landing" / "customers_rows.csv").read_bytes() == source.read_bytes()
    again = airworthy("new", source)
    assert again.code == 1
    assert "customers.py exists already. Choose another --name" in again.err
    assert airworthy("new", source, "--force").code == 0


def test_new_refuses_what_is_no_table(airworthy, tmp_path):
    result = airworthy("new", tmp_path / "nothing.csv")
    assert (result.code, result.out) == (1, "")
    assert "there is no such file" in result.err
