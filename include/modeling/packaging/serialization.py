"""Serialization of estimators: skops if possible, otherwise cloudpickle, and ONNX where it is declared."""

from __future__ import annotations

import io
import json
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import packages_distributions, version
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import cloudpickle
import numpy as np

from include.catalog import declaration_module
from include.declarations.relations.requirements import required_packages
from include.errors import DeclarationError, PackagingFailed
from include.inference.formats import TRUSTED_TYPES
from include.modeling.evaluation.metrics import predict
from include.modeling.registry.provenance import CODE, REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence, Set

    import pandas as pd

    from include.declarations import UseCase

# The earliest time that a ZIP archive can contain.
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
MAX_MESSAGE_LENGTH = 200
# Packages that every model needs.
MIN_REQUIREMENTS = ("mlflow", "numpy", "pandas", "scikit-learn")


@dataclass(frozen=True, slots=True)
class SerializedEstimator:
    """Bytes of an estimator, their form (`skops` or `cloudpickle`), and why skops could not be used."""

    content: bytes
    form: str
    reason: str = ""


def serialize(estimator: Any, use_case: UseCase, sample: pd.DataFrame) -> SerializedEstimator:
    """
    Serialize by skops if the restored estimator predicts `sample` identically, otherwise by cloudpickle.

    The same estimator always gives the same bytes.

    Parameters
    ----------
    estimator
        Fitted estimator.
    use_case
        Use case whose modules are pickled by value.
    sample
        Feature rows to compare the predictions on.
    """
    from skops.io import dumps, loads

    try:
        content = _normalize_archive(dumps(estimator))
        restored = loads(content, trusted=list(TRUSTED_TYPES))
        expected = predict(estimator, use_case.task, sample)
        actual = predict(restored, use_case.task, sample)
    # skops has no common error for what it cannot serialize: it depends on the code of the estimator.
    except (TypeError, ValueError, AttributeError, ImportError, LookupError) as error:
        return SerializedEstimator(
            _pickle(estimator, use_case), "cloudpickle", f"{type(error).__name__}: {error}"
        )
    if not np.array_equal(expected, actual):
        return SerializedEstimator(
            _pickle(estimator, use_case), "cloudpickle", "the copy restored by skops predicts differently"
        )
    return SerializedEstimator(content, "skops")


def own_modules(use_case: UseCase) -> list[ModuleType]:
    """
    Return the modules that are stored with the model: that of its declaration, and those in `code`.

    Raises
    ------
    DeclarationError
        If a module in `code` cannot be imported.
    """
    modules = [declaration_module("use_cases", use_case.name)]
    for name in use_case.code:
        try:
            modules.append(import_module(name))
        except ImportError as error:
            raise DeclarationError(
                f"{use_case.name}: the module {name} in `code` cannot be imported: {error}. "
                "Correct its name, or install its package."
            ) from error
    return modules


class _ModuleRecorder(cloudpickle.Pickler):  # type: ignore[misc]
    """Pickler that records the module of each object that it pickles."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.modules: set[str] = set()

    def persistent_id(self, obj: Any) -> None:
        """Record the module of `obj`, and have it pickled as always."""
        name = obj.__name__ if isinstance(obj, ModuleType) else getattr(obj, "__module__", None)
        if isinstance(name, str):
            self.modules.add(name)


def needed_modules(estimator: Any, use_case: UseCase) -> frozenset[str]:
    """Return the names of the modules of all objects that a model consists of or refers to."""
    recorder = _ModuleRecorder(io.BytesIO())
    with pickle_by_value(own_modules(use_case)):
        recorder.dump(estimator)
    runtime = {"onnxruntime"} if use_case.serving.runtime == "onnx" else set()
    return frozenset(recorder.modules | runtime)


def require_packaged(modules: Set[str], use_case: UseCase) -> None:
    """
    Raise PackagingFailed if a model needs modules of the project that are not packaged with it.

    Such a module is imported where the model is loaded: a change of it would change the model.

    Parameters
    ----------
    modules
        Names of the modules that the model needs, from `needed_modules`.
    use_case
        Use case of the model.
    """
    packages = tuple(module.__name__ for module in own_modules(use_case))
    unpackaged = {name for name in modules if not _is_packaged(name, packages)}
    missing = sorted(name for name in unpackaged & sys.modules.keys() if _is_of_project(name))
    if missing:
        listed = ", ".join(missing)
        raise PackagingFailed(
            f"{use_case.name}: the model needs {listed}, not packaged with it, so that a later change of "
            "that code would change the model. Name it in `code` of the use case."
        )


def _is_packaged(name: str, packages: Sequence[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def _is_of_project(name: str) -> bool:
    """Return whether a module is deployed code of the project, and no installed package."""
    file = getattr(sys.modules[name], "__file__", None)
    if file is None:
        return False
    path = Path(file)
    is_deployed = any(path.is_relative_to(REPOSITORY / folder) for folder in CODE)
    return is_deployed and "site-packages" not in path.parts


def requirements(modules: Set[str], use_case: UseCase) -> list[str]:
    """
    Return pip requirements, with installed versions, of the packages of the modules that a model needs.

    Those that the use case declares are among them.
    """
    top_level_names = {name.partition(".")[0] for name in modules}
    distributions = _distributions()
    packages = {distributions[name][0] for name in top_level_names & distributions.keys()}
    packages |= {*MIN_REQUIREMENTS, *required_packages(use_case)}
    return [f"{name}=={version(name)}" for name in sorted(packages, key=str.lower)]


@cache
def _distributions() -> Mapping[str, list[str]]:
    # Cached, because it reads the metadata of all installed packages.
    return packages_distributions()


def export_onnx(estimator: Any, use_case: UseCase, sample: pd.DataFrame) -> bytes:
    """
    Convert the estimator to an ONNX graph with one input per feature.

    Parameters
    ----------
    estimator
        Fitted estimator.
    use_case
        Use case of the estimator.
    sample
        Feature rows that give the types of the inputs.

    Raises
    ------
    PackagingFailed
        If skl2onnx cannot convert the estimator.
    """
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator

    def input_type(column: pd.Series[Any]) -> Any:
        return StringTensorType([None, 1]) if column.dtype == object else FloatTensorType([None, 1])

    options = {"zipmap": False} if use_case.task != "regression" else None
    inputs = [(name, input_type(sample[name])) for name in sample.columns]
    try:
        content: bytes = to_onnx(estimator, initial_types=inputs, options=options).SerializeToString()
    # All that skl2onnx raises for a model that it cannot convert; none of them is transient.
    except (MissingConverter, MissingShapeCalculator, NotImplementedError, RuntimeError, ValueError) as error:
        message = str(error).splitlines()[0][:MAX_MESSAGE_LENGTH]
        raise PackagingFailed(
            f"{use_case.name}: the model cannot be converted to ONNX: {message} "
            "Declare Serving(runtime='python'), or another estimator."
        ) from error
    return content


@contextmanager
def pickle_by_value(modules: list[ModuleType]) -> Iterator[None]:
    """Pickle the classes of `modules` by value in the block, so that loading does not import them."""
    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in modules:
            cloudpickle.unregister_pickle_by_value(module)


def _pickle(estimator: Any, use_case: UseCase) -> bytes:
    with pickle_by_value(own_modules(use_case)):
        content: bytes = cloudpickle.dumps(estimator)
    return content


def _normalize_archive(archive: bytes) -> bytes:
    """Return the archive of skops with a fixed time and without memory addresses."""
    with ZipFile(io.BytesIO(archive)) as source:
        file_names: dict[str, str] = {}
        schema = _renumber(json.loads(source.read("schema.json")), {}, file_names)
        target = io.BytesIO()
        with ZipFile(target, "w", ZIP_DEFLATED) as normalized:
            for old, new in file_names.items():
                normalized.writestr(ZipInfo(new, ZIP_EPOCH), source.read(old), ZIP_DEFLATED)
            normalized.writestr(ZipInfo("schema.json", ZIP_EPOCH), json.dumps(schema), ZIP_DEFLATED)
    return target.getvalue()


def _renumber(node: Any, ids: dict[int, int], file_names: dict[str, str]) -> Any:
    """Return the schema `node` with consecutive ids and file names; both mappings are extended."""
    if isinstance(node, list):
        return [_renumber(item, ids, file_names) for item in node]
    if not isinstance(node, dict):
        return node
    renumbered: dict[str, Any] = {}
    for key, value in node.items():
        if key == "__id__":
            renumbered[key] = ids.setdefault(value, len(ids) + 1)
        elif key == "file" and "__loader__" in node:
            extension = value.rpartition(".")[2]
            renumbered[key] = file_names.setdefault(value, f"{len(file_names) + 1}.{extension}")
        else:
            renumbered[key] = _renumber(value, ids, file_names)
    return renumbered
