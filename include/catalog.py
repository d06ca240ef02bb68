"""The declarations of datasets, feature views and use cases; an invalid one does not affect the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, cached_property
from importlib import import_module
from inspect import Parameter, signature
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from include.declarations import CustomSource, Dataset, FeatureView, UseCase
from include.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from include.declarations import ViewSource

# The name that a module of a package defines, and its type.
PACKAGES: dict[str, tuple[str, type[BaseModel]]] = {
    "datasets": ("DATASET", Dataset),
    "features": ("FEATURE_VIEW", FeatureView),
    "use_cases": ("USE_CASE", UseCase),
}


class DeclarationPackage(Mapping[str, Any]):
    """
    The valid declarations of one package by name, and the problems of the invalid ones.

    The modules are imported when the first declaration is requested.

    Parameters
    ----------
    root
        Package that contains this one, such as `include`.
    kind
        A key of `PACKAGES`.
    check
        Function that raises DeclarationError if a declaration does not fit the others.
    check_siblings
        Function that raises DeclarationError if a declaration does not fit the valid ones of its package.
    """

    def __init__(
        self,
        root: str,
        kind: str,
        check: Callable[[Any], None],
        check_siblings: Callable[[Any, Mapping[str, Any]], None] = lambda _, __: None,
    ) -> None:
        self.root = root
        self.kind = kind
        self._check = check
        self._check_siblings = check_siblings

    def __getitem__(self, name: str) -> Any:
        return self._loaded[0][name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._loaded[0])

    def __len__(self) -> int:
        return len(self._loaded[0])

    @property
    def problems(self) -> tuple[str, ...]:
        """Problems of the invalid declarations, one for each file."""
        return tuple(f"{self.kind}/{name}.py: {problem}" for name, problem in self._loaded[1].items())

    def require_no_problem(self, name: str, field: str) -> None:
        """Raise DeclarationError if `name`, to which `field` of another declaration refers, is invalid."""
        if name in self._loaded[1]:
            raise DeclarationError(f"{field}: the declaration of {name!r} is invalid, correct it first")

    @cached_property
    def _loaded(self) -> tuple[dict[str, Any], dict[str, str]]:
        valid: dict[str, Any] = {}
        problems: dict[str, str] = {}
        package = import_module(f"{self.root}.{self.kind}")
        for name in sorted(module.name for module in iter_modules(package.__path__)):
            try:
                module = declaration_module(self.kind, name, self.root)
                declared = _read_declaration(module, self.kind, name)
                self._check(declared)
            # The module is somebody else's code: any error is a problem of its file.
            except (Exception, SystemExit) as error:  # noqa: BLE001
                problems[name] = _format_problem(error)
            else:
                valid[name] = declared
        for name, declared in list(valid.items()):
            try:
                self._check_siblings(declared, valid)
            except DeclarationError as error:
                problems[name] = _format_problem(error)
                del valid[name]
        return valid, problems


@dataclass(frozen=True, slots=True)
class Catalog:
    """The valid declarations by name, and the problems of the others."""

    datasets: Mapping[str, Dataset]
    feature_views: Mapping[str, FeatureView]
    use_cases: Mapping[str, UseCase]

    @property
    def problems(self) -> tuple[str, ...]:
        """Problems of the invalid declarations."""
        problems: list[str] = []
        for package in (self.datasets, self.feature_views, self.use_cases):
            if isinstance(package, DeclarationPackage):
                problems.extend(package.problems)
        return tuple(problems)

    def declaration(self, name: str) -> Dataset | FeatureView:
        """
        Return the dataset or feature view of this name.

        Raises
        ------
        DeclarationError
            If there is neither.
        """
        if name in self.datasets:
            return self.datasets[name]
        if name in self.feature_views:
            return self.feature_views[name]
        existing = ", ".join(sorted({*self.datasets, *self.feature_views}))
        raise DeclarationError(f"{name!r} is neither a dataset nor a feature view; there are {existing}.")


@cache
def catalog() -> Catalog:
    """Return the declarations of `include.datasets`, `include.features` and `include.use_cases`."""
    return discover("include")


def discover(root: str) -> Catalog:
    """
    Return the declarations of the packages `datasets`, `features` and `use_cases` below `root`.

    A package is imported when it is first used, so that code for datasets does not wait for use cases.
    """
    datasets = DeclarationPackage(root, "datasets", _check_dataset, _check_foreign_keys)
    views = DeclarationPackage(root, "features", lambda view: _check_view(view, datasets))
    use_cases = DeclarationPackage(root, "use_cases", lambda case: _check_use_case(case, datasets, views))
    return Catalog(datasets, views, use_cases)


def declaration_module(kind: str, name: str, root: str = "include") -> ModuleType:
    """Return the module of a declaration, which also defines functions such as `build_model`."""
    return import_module(f"{root}.{kind}.{name}")


def _read_declaration(module: ModuleType, kind: str, name: str) -> Any:
    attribute, expected = PACKAGES[kind]
    declared = getattr(module, attribute, None)
    if not isinstance(declared, expected):
        raise DeclarationError(f"{attribute}: define one {expected.__name__}, not {type(declared).__name__}")
    if declared.name != name:  # type: ignore[attr-defined]
        raise DeclarationError(
            f"name: {declared.name!r} must be the file's name {name!r}, "  # type: ignore[attr-defined]
            "so that no two declarations share one"
        )
    function = {"features": "build", "use_cases": "build_model"}.get(kind)
    if function and not callable(getattr(module, function, None)):
        raise DeclarationError(f"{function}: define this function in the file of {attribute}")
    if isinstance(declared, UseCase) and declared.tuning:
        _require_tunable(module.build_model, declared.tuning.parameters)
    return declared


def _require_tunable(build: Callable[..., Any], parameters: Mapping[str, Any]) -> None:
    """Raise DeclarationError unless `build` has a default for each tuned parameter."""
    arguments = signature(build).parameters.values()
    with_default = {argument.name for argument in arguments if argument.default is not Parameter.empty}
    for name in parameters:
        _require_name(name, with_default, "tuning.parameters, arguments of build_model() with a default")


def _check_dataset(dataset: Dataset) -> None:
    if isinstance(dataset.source, CustomSource):
        dataset.source.require_usable()


def _check_foreign_keys(declared: Dataset | FeatureView, datasets: Mapping[str, Dataset]) -> None:
    types = {column.name: column.dtype for column in declared.columns}
    for foreign_key in declared.foreign_keys:
        _require_name(foreign_key.dataset, datasets, "foreign_keys.dataset")
        referenced = {column.name: column.dtype for column in datasets[foreign_key.dataset].columns}
        for column, other in zip(foreign_key.columns, foreign_key.referenced_columns, strict=True):
            _require_name(other, referenced, "foreign_keys.references")
            if types[column] != referenced[other]:
                raise DeclarationError(
                    f"foreign_keys: {column} is a {types[column]}, but {other} of {foreign_key.dataset} is a "
                    f"{referenced[other]}: no value of one equals one of the other"
                )


def _check_view(view: FeatureView, datasets: DeclarationPackage) -> None:
    _check_foreign_keys(view, datasets)
    for source in view.sources:
        datasets.require_no_problem(source.dataset, "sources.dataset")
        _require_name(source.dataset, datasets, "sources.dataset")
        _require_lookback(view, source, datasets[source.dataset])


def _check_use_case(case: UseCase, datasets: DeclarationPackage, views: DeclarationPackage) -> None:
    views.require_no_problem(case.feature_view, "feature_view")
    datasets.require_no_problem(case.label.dataset, "label.dataset")
    _require_name(case.feature_view, views, "feature_view")
    _require_name(case.label.dataset, datasets, "label.dataset")
    view = views[case.feature_view]
    columns = {column.name for column in view.columns}
    for feature in case.features:
        _require_name(feature, columns, "features")
        _require_usable_feature(feature, view)
    for column in case.baseline_by:
        _require_name(column, columns, "baseline_by")
    for gate in case.gates:
        for column in gate.columns:
            _require_name(column, columns, f"gates.{gate.name}")
    _require_days(datasets[case.label.dataset])
    label_columns = {column.name: column for column in datasets[case.label.dataset].columns}
    _require_name(case.label.column, label_columns, "label.column")
    case.label.check_column(label_columns[case.label.column], case.task)


def _require_days(dataset: Dataset) -> None:
    """Raise DeclarationError if the labels of a day in UTC are not in partitions of that day."""
    if dataset.granularity in {"week", "month"} or dataset.calendar.time_zone != "UTC":
        raise DeclarationError(
            f"label.dataset: the partitions of {dataset.name} are no days or hours in UTC, in which labels "
            "are joined to features; declare it with granularity day or hour and without time_zone"
        )


def _require_lookback(view: FeatureView, source: ViewSource, dataset: Dataset) -> None:
    """Raise DeclarationError if no partition that the view reads of a dataset is known in time."""
    missing = dataset.known_after - view.known_after - source.lookback
    if missing > timedelta(0):
        raise DeclarationError(
            f"sources: {dataset.name} is known {dataset.known_after} after a partition begins, and "
            f"{view.name}, which looks back {source.lookback}, is built {view.known_after} after one begins: "
            f"nothing of {dataset.name} would be known in time. Look back {missing} further, remove "
            f"{dataset.name}, or correct `known_from`"
        )


def _require_usable_feature(name: str, view: FeatureView) -> None:
    if name == view.entity:
        raise DeclarationError(
            f"features: {name!r} is the entity of {view.name}: a model would learn single entities by heart"
        )
    if any(column.name == name and column.dtype == "timestamp" for column in view.columns):
        raise DeclarationError(
            f"features: {name!r} is a timestamp: those of new rows are later than all of the training rows. "
            f"Derive a feature from it, such as the hour, in {view.name}"
        )


def _require_name(name: str, existing: Mapping[str, Any] | set[str], field: str) -> None:
    if name not in existing:
        raise DeclarationError(f"{field}: {name!r} does not exist; there are {', '.join(sorted(existing))}")


def _format_problem(error: BaseException) -> str:
    if isinstance(error, DeclarationError):
        return str(error)
    if not isinstance(error, ValidationError):
        return f"{type(error).__name__}: {error}"
    messages = []
    for problem in error.errors():
        field = ".".join(map(str, problem["loc"])) or error.title
        messages.append(f"{field}: {problem['msg']}")
    return "; ".join(messages)
