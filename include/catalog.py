"""Find every declaration; a bad one is a problem with a name, never the end of the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from inspect import Parameter, signature
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from include.declarations import Dataset, FeatureView, UseCase
from include.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from include.declarations import ViewSource

PACKAGES: dict[str, tuple[str, type[BaseModel]]] = {
    "datasets": ("DATASET", Dataset),
    "features": ("FEATURE_VIEW", FeatureView),
    "use_cases": ("USE_CASE", UseCase),
}


class Package(Mapping[str, Any]):
    """The declarations of one package by name, and the problems of those that are bad."""

    def __init__(self, root: str, kind: str, check: Callable[[Any], None]) -> None:
        self.root = root
        self.kind = kind
        self._check = check

    def __getitem__(self, name: str) -> Any:
        return self._found[0][name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found[0])

    def __len__(self) -> int:
        return len(self._found[0])

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with the bad ones, file by file."""
        return tuple(f"{self.kind}/{name}.py: {problem}" for name, problem in self._found[1].items())

    def require_no_problem(self, name: str, field: str) -> None:
        """Refuse, in `field` of another declaration, a name that is declared wrongly itself."""
        if name in self._found[1]:
            raise DeclarationError(f"{field}: {name!r} is declared wrongly itself, correct it first")

    @cached_property
    def _found(self) -> tuple[dict[str, Any], dict[str, str]]:
        good: dict[str, Any] = {}
        bad: dict[str, str] = {}
        package = import_module(f"{self.root}.{self.kind}")
        for name in sorted(module.name for module in iter_modules(package.__path__)):
            try:
                declared = _declared(declaration_module(self.kind, name, self.root), self.kind, name)
                self._check(declared)
            except (Exception, SystemExit) as error:  # noqa: BLE001  whatever it raises is that file's problem
                bad[name] = _explain(error)
            else:
                good[name] = declared
        return good, bad


@dataclass(frozen=True, slots=True)
class Catalog:
    """What is declared, by name, and what is wrong with the rest."""

    datasets: Mapping[str, Dataset]
    feature_views: Mapping[str, FeatureView]
    use_cases: Mapping[str, UseCase]

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with each declaration that is not among them."""
        packages = (self.datasets, self.feature_views, self.use_cases)
        return tuple(one for each in packages if isinstance(each, Package) for one in each.problems)

    def declaration(self, name: str) -> Dataset | FeatureView:
        """
        Return the dataset or feature view called `name`.

        :raises DeclarationError: if there is neither
        """
        if name in self.datasets:
            return self.datasets[name]
        if name in self.feature_views:
            return self.feature_views[name]
        known = ", ".join(sorted({*self.datasets, *self.feature_views}))
        raise DeclarationError(f"{name!r} is neither a dataset nor a feature view; there are {known}.")


@cache
def catalog() -> Catalog:
    """Return what the three packages beside this file declare."""
    return discover("include")


def discover(root: str) -> Catalog:
    """
    Return what the packages `datasets`, `features` and `use_cases` below the package `root` declare.

    Each is read when it is first asked for: whoever is about datasets waits for no use case.
    """
    datasets = Package(root, "datasets", lambda _: None)
    views = Package(root, "features", lambda view: _check_view(view, datasets))
    return Catalog(
        datasets, views, Package(root, "use_cases", lambda case: _check_use_case(case, datasets, views))
    )


def declaration_module(kind: str, name: str, root: str = "include") -> ModuleType:
    """Return the module that declares `name`, for the functions that stand beside the declaration."""
    return import_module(f"{root}.{kind}.{name}")


def _declared(module: ModuleType, kind: str, name: str) -> Any:
    attribute, wanted = PACKAGES[kind]
    declared = getattr(module, attribute, None)
    if not isinstance(declared, wanted):
        raise DeclarationError(f"{attribute}: define one {wanted.__name__}, found {type(declared).__name__}")
    if declared.name != name:  # type: ignore[attr-defined]
        raise DeclarationError(
            f"name: {declared.name!r} must be the file's name {name!r}, "  # type: ignore[attr-defined]
            "so that no two declarations share one"
        )
    needed = {"features": "build", "use_cases": "build_model"}.get(kind)
    if needed and not callable(getattr(module, needed, None)):
        raise DeclarationError(f"{needed}: define this function beside {attribute}")
    if isinstance(declared, UseCase) and declared.tuning:
        _takes(module.build_model, declared.tuning.parameters)
    return declared


def _takes(build: Callable[..., Any], parameters: Mapping[str, Any]) -> None:
    """Refuse a `build_model` that does not take what is tuned, or cannot be called without it."""
    taken = signature(build).parameters
    with_default = {name for name, each in taken.items() if each.default is not Parameter.empty}
    for name in parameters:
        _exists(name, with_default, "tuning.parameters, arguments of build_model() with a default")


def _check_view(view: FeatureView, datasets: Package) -> None:
    for source in view.sources:
        datasets.require_no_problem(source.dataset, "sources.dataset")
        _exists(source.dataset, datasets, "sources.dataset")
        _lands_in_time(view, source, datasets[source.dataset])


def _check_use_case(case: UseCase, datasets: Package, views: Package) -> None:
    views.require_no_problem(case.feature_view, "feature_view")
    datasets.require_no_problem(case.label.dataset, "label.dataset")
    _exists(case.feature_view, views, "feature_view")
    _exists(case.label.dataset, datasets, "label.dataset")
    view = views[case.feature_view]
    columns = {column.name for column in view.columns}
    for feature in case.features:
        _exists(feature, columns, "features")
        _is_a_feature(feature, view)
    for column in case.baseline_by:
        _exists(column, columns, "baseline_by")
    for gate in case.gates:
        for column in gate.columns:
            _exists(column, columns, f"gates.{gate.name}")
    label_columns = {column.name for column in datasets[case.label.dataset].columns}
    _exists(case.label.column, label_columns, "label.column")


def _lands_in_time(view: FeatureView, source: ViewSource, dataset: Dataset) -> None:
    if source.lookback_days < dataset.lag_days:
        raise DeclarationError(
            f"sources: a partition of {dataset.name} lands {dataset.lag_days} days late, and {view.name} "
            f"looks back {source.lookback_days} days: none of them would be there in time. Leave "
            f"{dataset.name} out, or set lookback_days to at least {dataset.lag_days}"
        )


def _is_a_feature(name: str, view: FeatureView) -> None:
    if name == view.entity:
        raise DeclarationError(
            f"features: {name!r} is the entity of {view.name}: what a model learns of one helps with no other"
        )
    if any(column.name == name and column.dtype == "timestamp" for column in view.columns):
        raise DeclarationError(
            f"features: {name!r} is a timestamp: every new row's is later than all that were learnt from. "
            f"Derive what matters of it, such as the hour, in {view.name}"
        )


def _exists(name: str, known: Mapping[str, Any] | set[str], field: str) -> None:
    if name not in known:
        raise DeclarationError(f"{field}: {name!r} does not exist; there are {', '.join(sorted(known))}")


def _explain(error: BaseException) -> str:
    if not isinstance(error, ValidationError):
        return str(error) if isinstance(error, DeclarationError) else f"{type(error).__name__}: {error}"
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc']) or error.title}: {problem['msg']}"
        for problem in error.errors()
    )
