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


def is_own_operator(member):
    return isclass(member) and issubclass(member, BaseOperator) and member.__module__.startswith("airworthy.")


def links_of_operators():
    """Return the names of the project's links that an operator has."""
    names = set()
    for info in iter_modules(airworthy.operators.__path__):
        module = import_module(f"airworthy.operators.{info.name}")
        for _, operator in getmembers(module, is_own_operator):
            links = [type(link) for link in operator.operator_extra_links]
            names.update(link.__name__ for link in links if link.__module__ == "airworthy.links")
    return names


def test_every_link_of_an_operator_is_registered():
    assert links_of_operators() == {type(link).__name__ for link in AirworthyPlugin.operator_extra_links}


def is_ignored(path, patterns):
    return any(fnmatch(path, f"{pattern.rstrip('/')}/*") for pattern in patterns)


def test_plugin_loader_sees_only_the_plugin_file():
    patterns = (PLUGINS / ".airflowignore").read_text().split()
    paths = [path.relative_to(PLUGINS).as_posix() for path in PLUGINS.rglob("*.py")]
    assert [path for path in paths if not is_ignored(path, patterns)] == ["airworthy_plugin.py"]
