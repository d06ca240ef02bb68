from __future__ import annotations

from fnmatch import fnmatch
from importlib import import_module
from inspect import getmembers, isclass
from pathlib import Path
from pkgutil import iter_modules

from airflow.sdk import BaseOperator

import airworthy.operators
from airworthy_plugin import AirworthyPlugin

PLUGINS = Path(__file__).parents[2] / "plugins"


def test_every_link_of_an_operator_is_registered_or_the_ui_cannot_show_it():
    modules = [
        import_module(f"airworthy.operators.{found.name}")
        for found in iter_modules(airworthy.operators.__path__)
    ]
    operators = [
        kind for module in modules for _, kind in getmembers(module, isclass)
        if issubclass(kind, BaseOperator) and kind.__module__.startswith("airworthy.")
    ]  # fmt: skip
    used = {
        type(link).__name__ for kind in operators for link in kind.operator_extra_links
        if type(link).__module__ == "airworthy.links"
    }  # fmt: skip
    assert used == {type(link).__name__ for link in AirworthyPlugin.operator_extra_links}


def test_airflow_is_shown_no_other_file_than_the_plugin():
    ignored = (PLUGINS / ".airflowignore").read_text().split()
    loaded = [
        path.relative_to(PLUGINS).as_posix()
        for path in PLUGINS.rglob("*.py")
        if not any(fnmatch(f"{path.relative_to(PLUGINS)}", f"{pattern.rstrip('/')}/*") for pattern in ignored)
    ]
    assert loaded == ["airworthy_plugin.py"]
