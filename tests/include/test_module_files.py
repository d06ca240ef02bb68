from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module

import pytest

from include.module_files import file_states, forget_modules


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package in which one module imports another one of a subpackage."""
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "shop" / "sales"
    (folder / "_parts").mkdir(parents=True)
    for path in (tmp_path / "shop/__init__.py", folder / "__init__.py", folder / "_parts/__init__.py"):
        path.touch()
    (folder / "_parts/owners.py").write_text("OWNER = 'ann'")
    (folder / "orders.py").write_text("from shop.sales._parts.owners import OWNER")
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "shop"]:
        del sys.modules[name]


def test_changed_import_is_seen_within_the_same_second(package):
    assert import_module("shop.sales.orders").OWNER == "ann"
    before = file_states(["shop.sales"])
    owners = package / "_parts/owners.py"
    state = owners.stat()
    owners.write_text("OWNER = 'bob'")
    os.utime(owners, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    after = file_states(["shop.sales"])
    changed = dict(before.items() ^ after.items())
    assert list(changed) == [str(owners)]
    forget_modules(["shop.sales"], changed=changed)
    assert import_module("shop.sales.orders").OWNER == "bob"


def test_other_modules_are_not_forgotten(package):
    import_module("shop.sales.orders")
    forget_modules(["shop.sale"], changed=())
    assert "shop.sales.orders" in sys.modules


def test_package_that_does_not_exist_has_no_files(package):
    assert file_states(["shop.returns"]) == {}


PRELOAD = """
import os, sys
from pathlib import Path
from include.module_files import preload

Path("shop/sales/broken.py").write_text("1 / 0")
preload(["shop.sales.broken", "shop.sales.orders"], packages=["shop"])

def print_in_fork():
    if os.fork() == 0:
        is_preloaded = "shop.sales.orders" in sys.modules
        from shop.sales.orders import OWNER
        print(OWNER, is_preloaded, flush=True)
        os._exit(0)
    os.wait()

print_in_fork()
Path("shop/sales/_parts/owners.py").write_text("OWNER = 'robert'")
print_in_fork()
Path("shop/sales/orders.py").unlink()
Path("shop/sales/orders").mkdir()
Path("shop/sales/orders/__init__.py").write_text("OWNER = 'eve'")
print_in_fork()
"""


def test_fork_imports_preloaded_modules_again_if_changed(package):
    folder = package.parents[1]
    variables = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    ran = subprocess.run(
        [sys.executable, "-c", PRELOAD], cwd=folder, env=variables, capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines() == ["ann True", "robert False", "eve False"]
