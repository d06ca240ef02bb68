"""Turn an estimator into bytes: by skops where it can, by cloudpickle where it must, as ONNX if asked."""

from __future__ import annotations

import io
import json
import pickletools
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import packages_distributions, version
from typing import TYPE_CHECKING, Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import cloudpickle
import numpy as np

from include.catalog import declaration_module
from include.errors import DataError, DeclarationError
from include.inference.formats import TRUSTED_TYPES
from include.modeling.evaluation.metrics import predict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import ModuleType

    import pandas as pd

    from include.declarations import UseCase

LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip can name
ALWAYS = ("mlflow", "numpy", "pandas", "scikit-learn")


@dataclass(frozen=True, slots=True)
class Serialized:
    """An estimator's bytes, their form (skops or cloudpickle) and why not the other one."""

    content: bytes
    form: str
    reason: str = ""


def serialize(estimator: Any, use_case: UseCase, sample: pd.DataFrame) -> Serialized:
    """
    Return the estimator as skops keeps it, if what comes back answers `sample` exactly alike; else pickled.

    The same estimator always becomes the same bytes.
    """
    from skops.io import dumps, loads

    try:
        content = _canonical(dumps(estimator))
        restored = loads(content, trusted=list(TRUSTED_TYPES))
        expected, found = (predict(each, use_case.task, sample) for each in (estimator, restored))
    except (TypeError, ValueError, AttributeError, ImportError, LookupError) as error:
        # skops has no common error for what it cannot carry: it depends on the estimator's own code
        return Serialized(_pickled(estimator, use_case), "cloudpickle", f"{type(error).__name__}: {error}")
    if not np.array_equal(expected, found):
        return Serialized(_pickled(estimator, use_case), "cloudpickle", "skops' copy answers otherwise")
    return Serialized(content, "skops")


def own_modules(use_case: UseCase) -> list[ModuleType]:
    """
    Return the modules that travel with the model: that of its declaration, and those that it names.

    :raises DeclarationError: if one of those cannot be imported
    """
    modules = [declaration_module("use_cases", use_case.name)]
    for name in use_case.code:
        try:
            modules.append(import_module(name))
        except ImportError as error:
            raise DeclarationError(f"{use_case.name}: code: {name} cannot be imported: {error}") from error
    return modules


def requirements(estimator: Any, use_case: UseCase) -> list[str]:
    """Return the installed versions of what the model needs to be loaded, in the form of pip."""
    named: set[str] = set()
    for operation, argument, _ in pickletools.genops(_pickled(estimator, use_case)):
        if operation.name in {"SHORT_BINUNICODE", "BINUNICODE", "GLOBAL"}:
            named.add(str(argument).split(".")[0].split(" ")[0])
    found = _distributions()
    needed = {found[name][0] for name in named & sys.modules.keys() & found.keys()}
    return [f"{name}=={version(name)}" for name in sorted(needed.union(ALWAYS), key=str.lower)]


@cache
def _distributions() -> Mapping[str, list[str]]:
    return packages_distributions()  # reads the files of all that is installed


def export(estimator: Any, use_case: UseCase, sample: pd.DataFrame) -> bytes:
    """
    Return the estimator as an ONNX graph that answers `sample` within the declared tolerance.

    :raises DataError: if no converter carries it, or naming the largest difference
    """
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator

    def kind(column: pd.Series[Any]) -> Any:
        return StringTensorType([None, 1]) if column.dtype == object else FloatTensorType([None, 1])

    remedy = "Declare Serving(runtime='python'), or another estimator."
    options = {"zipmap": False} if use_case.task != "regression" else None
    inputs = [(name, kind(sample[name])) for name in sample.columns]
    try:
        content: bytes = to_onnx(estimator, initial_types=inputs, options=options).SerializeToString()
    except (MissingConverter, MissingShapeCalculator, NotImplementedError, RuntimeError, ValueError) as error:
        # all that skl2onnx raises of a model that it cannot convert; memory and disk raise none of these
        message = str(error).splitlines()[0][:200]
        raise DataError(
            f"{use_case.name}: there is no ONNX graph of this model: {message} {remedy}"
        ) from error
    return content


@contextmanager
def by_value(modules: list[ModuleType]) -> Iterator[None]:
    """Let cloudpickle take the classes of these modules along, instead of their names."""
    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in modules:
            cloudpickle.unregister_pickle_by_value(module)


def _pickled(estimator: Any, use_case: UseCase) -> bytes:
    with by_value(own_modules(use_case)):
        content: bytes = cloudpickle.dumps(estimator)
    return content


def _canonical(archive: bytes) -> bytes:
    """Return what skops wrote without the moment and the memory addresses that it wrote into it."""
    with ZipFile(io.BytesIO(archive)) as source:
        names: dict[str, str] = {}
        schema = _renumbered(json.loads(source.read("schema.json")), {}, names)
        target = io.BytesIO()
        with ZipFile(target, "w", ZIP_DEFLATED) as file:
            for old, new in names.items():
                file.writestr(ZipInfo(new, LONG_AGO), source.read(old), ZIP_DEFLATED)
            file.writestr(ZipInfo("schema.json", LONG_AGO), json.dumps(schema), ZIP_DEFLATED)
    return target.getvalue()


def _renumbered(node: Any, ids: dict[int, int], names: dict[str, str]) -> Any:
    if isinstance(node, list):
        return [_renumbered(each, ids, names) for each in node]
    if not isinstance(node, dict):
        return node
    new: dict[str, Any] = {}
    for key, value in node.items():
        if key == "__id__":
            new[key] = ids.setdefault(value, len(ids) + 1)
        elif key == "file" and "__loader__" in node:
            new[key] = names.setdefault(value, f"{len(names) + 1}.{value.rpartition('.')[2]}")
        else:
            new[key] = _renumbered(value, ids, names)
    return new
