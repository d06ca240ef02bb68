"""Code that built the partitions of a table: its digest, and the partitions that other code built."""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from inspect import getsource
from typing import TYPE_CHECKING, Any

from include.catalog import PACKAGES, catalog
from include.data.features.build import RowsAsTheyAre, build_function
from include.declarations import Dataset
from include.partitions import contiguous_ranges

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from types import ModuleType

    from include.data.features.build import Build
    from include.data.lake.delta_tables import Lake
    from include.declarations import FeatureView
    from include.partitions import Partition

# Fields that shape the rows; a new owner, bound or check makes no row another one.
_DATASET_FIELDS = {"source", "key", "granularity", "time_zone", "lag_days", "known_at", "known_from"}
_VIEW_FIELDS = {"sources", "entity", "time", "horizon", "granularity", "known_from", "online"}
DIGEST_LENGTH = 16


def dataset_code(dataset: Dataset) -> str:
    """Return the digest of what determines the rows of a dataset: its source and its columns' types."""
    return _hash_json(_described(dataset, _DATASET_FIELDS))


def view_code(view: FeatureView, build: Build, *, datasets: Mapping[str, Dataset] | None = None) -> str:
    """
    Return the digest of what determines the rows of a feature view.

    It covers the code of the module of `build`, where comments, docstrings and layout do not count, the
    declared fields that shape rows, and the same of each source. Modules that it imports are not covered.
    """
    declared = datasets if datasets is not None else catalog().datasets
    described = _described(view, _VIEW_FIELDS)
    described["online"] = view.online is not None
    names = [source.dataset for source in view.sources]
    sources = {
        name: dataset_code(declared[name]) if name in declared else declared_code(name) for name in names
    }
    code = "" if isinstance(build, RowsAsTheyAre) else _code_of(sys.modules[build.__module__])
    return _hash_json([described, code, sources])


def declared_code(name: str) -> str:
    """Return the digest of the present code of a declared dataset or feature view."""
    declared = catalog().declaration(name)
    if isinstance(declared, Dataset):
        return dataset_code(declared)
    return view_code(declared, build_function(declared))


def current_code(lake: Lake, name: str) -> str:
    """
    Return the digest of the present code of a declared dataset or feature view, as its commits have it.

    It covers the newest version of each reference table of which a view reads `versions="newest"`, so that a
    new version makes earlier partitions stale.
    """
    code = declared_code(name)
    declared = catalog().declaration(name)
    if isinstance(declared, Dataset):
        return code
    versions = {}
    for source in declared.sources:
        if source.versions == "newest":
            publications = lake.publications(source.dataset)
            newest = max(publications, default=None)
            versions[source.dataset] = [str(newest), publications[newest].version] if newest else []
    return _hash_json([code, versions]) if versions else code


def stale_partitions(lake: Lake, table: str, code: str) -> list[Partition]:
    """
    Return the partitions whose newest publication was built by other code than `code`, ascending.

    A partition whose code was not recorded is not among them.
    """
    publications = lake.publications(table)
    return [partition for partition, published in publications.items() if published.code not in {"", code}]


def stale_ranges(lake: Lake, name: str) -> list[list[Partition]]:
    """Return the partitions of a declared table that other code than the present built, without gaps."""
    stale = stale_partitions(lake, name, current_code(lake, name))
    return contiguous_ranges(stale, catalog().declaration(name).calendar)


def codes_of(
    lake: Lake, table: str, partitions: Collection[Partition], *, version: int | None = None
) -> dict[Partition, str]:
    """Return the code that built each of these partitions; "" if it was not recorded."""
    publications = lake.publications(table, version=version)
    return {
        partition: published.code for partition, published in publications.items() if partition in partitions
    }


def _described(declared: Dataset | FeatureView, fields: Collection[str]) -> dict[str, Any]:
    described = declared.model_dump(mode="json", include=set(fields))
    described["columns"] = sorted((column.name, column.dtype) for column in declared.columns)
    return described


def _code_of(module: ModuleType) -> str:
    """Return the module's code without its declaration, comments and docstrings."""
    tree = ast.parse(getsource(module))
    attributes = {attribute for attribute, _ in PACKAGES.values()}
    tree.body = [node for node in tree.body if not _assigns(node, attributes)]
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef)
            and ast.get_docstring(node) is not None
        ):
            node.body = node.body[1:]
    return ast.dump(tree)


def _assigns(node: ast.stmt, names: Collection[str]) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else []
    return any(isinstance(target, ast.Name) and target.id in names for target in targets)


def _hash_json(described: Any) -> str:
    text = json.dumps(described, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LENGTH]
