"""The declarations of datasets, feature views and use cases; an invalid one does not affect the others."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from include.declarations import CustomSource, Dataset, FeatureView, UseCase
from include.declarations.data.features import as_dataset
from include.declarations.data.files import declaring_files
from include.declarations.problems import collected_problems, problems_of
from include.declarations.relations import consistency
from include.declarations.relations.feature_selection import FeatureSelection, Spine
from include.declarations.relations.requirements import check_requirements
from include.declarations.relations.undated import check_split, check_view_sources
from include.errors import DeclarationError, UndeclaredError
from include.module_files import ModuleReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType


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
        Function that raises DeclarationError if a declaration does not fit the others; it gets the
        declaration, and all of the package that are valid by themselves.
    """

    def __init__(self, root: str, kind: str, check: Callable[[Any, Mapping[str, Any]], None]) -> None:
        self.root = root
        self.kind = kind
        self._check = check

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded[0]:
            raise UndeclaredError(self._describe_absent(name))
        return self._loaded[0][name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._loaded[0])

    def __len__(self) -> int:
        return len(self._loaded[0])

    @property
    def problems(self) -> tuple[str, ...]:
        """Problems of the invalid declarations, one for each file."""
        return tuple(self._loaded[1].values())

    def file_names(self) -> list[str]:
        """Return the names of the files with declarations; a use case has the name of its file."""
        return [file for _, file in declaring_files(self.root, self.kind, PACKAGES[self.kind][0])]

    def require_no_problem(self, name: str, field: str) -> None:
        """Raise DeclarationError if `name`, to which `field` of another declaration refers, is invalid."""
        if name in self._loaded[1]:
            raise DeclarationError(f"{field}: the declaration of {name!r} is invalid, correct it first")

    def _describe_absent(self, name: str) -> str:
        if name in self._loaded[1]:
            return f"The declaration of {name} is invalid: correct {self.root}/{self._loaded[1][name]}."
        file = f"{self.root}/{self.kind}/{name}.py"
        return f"{name} is not declared: there is no {file}. There are {', '.join(sorted(self)) or 'none'}."

    @cached_property
    def _loaded(self) -> tuple[dict[str, Any], dict[str, str]]:
        declared: dict[str, Any] = {}
        problems: dict[str, str] = {}
        files: dict[str, str] = {}
        for kind, file in declaring_files(self.root, self.kind, PACKAGES[self.kind][0]):
            name = file
            try:
                module = self._import(f"{self.root}.{kind}.{file}")
                read = _read_declaration(module, self.kind, file if kind == self.kind else None)
                _require_new_name(read.name, declared)
                name = read.name
                declared[name] = read
                files[name] = f"{kind}/{file}.py"
            # The module is somebody else's code: any error is a problem of its file.
            except (Exception, SystemExit) as error:  # noqa: BLE001
                problems[name] = f"{kind}/{file}.py: {_format_problem(error)}"
        # Declarations may refer to others of their package: without the invalid ones, they are checked again.
        while invalid := self._find_problems(declared):
            problems |= {name: f"{files[name]}: {problem}" for name, problem in invalid.items()}
            declared = {name: value for name, value in declared.items() if name not in invalid}
        return declared, problems

    def _import(self, name: str) -> ModuleType:
        """Return a module; raise DeclarationError with all problems of its declarations."""
        existing = sys.modules.copy()
        try:
            with collected_problems():
                return import_module(name)
        except DeclarationError:
            # Modules with declarations that stand for invalid ones must not be found as if they were valid.
            for module in set(sys.modules) - set(existing):
                if module.startswith(f"{self.root}."):
                    del sys.modules[module]
            raise

    def _find_problems(self, declared: Mapping[str, Any]) -> dict[str, str]:
        problems: dict[str, str] = {}
        for name, declaration in declared.items():
            try:
                self._check(declaration, declared)
            # An own source is somebody else's code, too.
            except (Exception, SystemExit) as error:  # noqa: BLE001
                problems[name] = _format_problem(error)
        return problems


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
        # A file of several declarations that cannot be imported is a problem of each of them.
        return tuple(dict.fromkeys(problems))

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

    @property
    def use_case_names(self) -> list[str]:
        """Names of the use cases in order, also of invalid ones; their modules are not imported."""
        package = self.use_cases
        return package.file_names() if isinstance(package, DeclarationPackage) else sorted(package)

    @property
    def sources(self) -> dict[str, Dataset]:
        """What a feature view may read: the datasets, and the feature views as datasets."""
        views = self.feature_views
        return {**self.datasets, **{name: as_dataset(views[name], views, self.datasets) for name in views}}

    def spine_of(self, use_case: UseCase) -> Spine:
        """Return the rows that a use case predicts."""
        return Spine.of(use_case, self.feature_views, self.datasets)

    def features_of(self, use_case: UseCase) -> FeatureSelection:
        """Return the features of a use case and the rows that they are joined to."""
        return FeatureSelection.of(use_case, self.feature_views, self.datasets)

    def check_features(self, use_case: UseCase, root: str = "include") -> None:
        """Raise DeclarationError if a feature, or a column that a gate needs, cannot be used."""
        selection = self.features_of(use_case)
        consistency.check_features(
            use_case, selection, self.feature_views, has_build=lambda name: _has_build(name, root)
        )


_READER = ModuleReader([f"include.{kind}" for kind in PACKAGES], lambda: discover("include"))


def catalog() -> Catalog:
    """Return the declarations of datasets, features and use cases."""
    return _READER.current()


def refresh_catalog() -> Catalog:
    """Return the present declarations, read again if a file changed: for processes that outlive a task."""
    return _READER.refresh()


def discover(root: str) -> Catalog:
    """
    Return the declarations of the packages `datasets`, `features` and `use_cases` below `root`.

    A package is imported when it is first used, so that code for datasets does not wait for use cases.
    """
    datasets = DeclarationPackage(root, "datasets", _check_dataset)
    views = DeclarationPackage(
        root, "features", lambda view, others: _check_view(view, datasets, others, root)
    )
    has_build = cache(lambda name: _has_build(name, root))
    use_cases = DeclarationPackage(
        root, "use_cases", lambda case, _: _check_use_case(case, datasets, views, has_build)
    )
    return Catalog(datasets, views, use_cases)


def declaration_module(kind: str, name: str, root: str = "include") -> ModuleType:
    """Return the module of a declaration, which also defines functions such as `build_model`."""
    try:
        return import_module(f"{root}.{kind}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{root}.{kind}.{name}":
            raise
        for package, file in declaring_files(root, kind, PACKAGES[kind][0]):
            module = import_module(f"{root}.{package}.{file}")
            if getattr(getattr(module, PACKAGES[kind][0], None), "name", None) == name:
                return module
        raise


def _require_new_name(name: str, existing: Mapping[str, Any]) -> None:
    if name in existing:
        raise DeclarationError(f"name: {name!r} is declared in another file too; choose another name")


def _read_declaration(module: ModuleType, kind: str, name: str | None) -> Any:
    """Return the declaration of a module, which has the name of its file `name` unless that is None."""
    attribute, expected = PACKAGES[kind]
    declared = getattr(module, attribute, None)
    if not isinstance(declared, expected):
        raise DeclarationError(f"{attribute}: define one {expected.__name__}, not {type(declared).__name__}")
    if name is not None and declared.name != name:  # type: ignore[attr-defined]
        raise DeclarationError(
            f"name: {declared.name!r} must be the file's name {name!r}, "  # type: ignore[attr-defined]
            "so that no two declarations share one"
        )
    function = {"features": "build", "use_cases": "build_model"}.get(kind)
    is_optional = kind == "features" and not hasattr(module, "build")
    if function and not is_optional and not callable(getattr(module, function, None)):
        raise DeclarationError(f"{function}: define this function in the file of {attribute}")
    if not callable(getattr(module, "request_features", len)):
        raise DeclarationError("request_features: define a function of this name, or rename it")
    if isinstance(declared, UseCase) and declared.tuning:
        _require_tunable(module.build_model, declared.tuning.parameters)
    return declared


def _require_tunable(build: Callable[..., Any], parameters: Mapping[str, Any]) -> None:
    """Raise DeclarationError unless `build` has a default for each tuned parameter."""
    arguments = signature(build).parameters.values()
    with_default = {argument.name for argument in arguments if argument.default is not Parameter.empty}
    for name in parameters:
        consistency.require_name(
            name, with_default, "tuning.parameters, arguments of build_model() with a default"
        )


def _check_dataset(dataset: Dataset, datasets: Mapping[str, Dataset]) -> None:
    checks = [
        lambda: consistency.check_foreign_keys(dataset, datasets),
        lambda: consistency.check_landing_path(dataset, datasets),
    ]
    if isinstance(dataset.source, CustomSource):
        checks.append(dataset.source.require_usable)
    consistency.require_all(checks)


def _check_view(
    view: FeatureView, datasets: DeclarationPackage, views: Mapping[str, FeatureView], root: str
) -> None:
    consistency.require_all(
        [
            lambda: consistency.check_view_name(view, datasets),
            lambda: consistency.check_foreign_keys(view, datasets),
            lambda: _check_view_sources(view, datasets, views, root),
        ]
    )


def _check_view_sources(
    view: FeatureView, datasets: DeclarationPackage, views: Mapping[str, FeatureView], root: str
) -> None:
    for source in view.sources:
        datasets.require_no_problem(source.dataset, "sources.dataset")
    as_dataset(view, views, datasets)
    declared = {}
    for source in view.sources:
        read = views.get(source.dataset)
        declared[source.dataset] = as_dataset(read, views, datasets) if read else datasets[source.dataset]
    for source in view.sources:
        consistency.check_lookback(view, source, declared[source.dataset])
    check_view_sources(view, declared, has_build=_has_build(view.name, root))


def _check_use_case(
    case: UseCase, datasets: DeclarationPackage, views: DeclarationPackage, has_build: Callable[[str], bool]
) -> None:
    for name in case.feature_views:
        views.require_no_problem(name, "feature_view")
        consistency.require_name(name, views, "feature_view")
    if not case.label.is_absent:
        datasets.require_no_problem(case.label.dataset, "label.dataset")
        consistency.require_name(case.label.dataset, datasets, "label.dataset")
    selection = FeatureSelection.of(case, views, datasets)
    checks = [
        lambda: check_requirements(case),
        lambda: consistency.check_features(case, selection, views, has_build=has_build),
        *(lambda name=name: check_split(case, views[name]) for name in case.feature_views),
    ]
    if not case.label.is_absent:
        checks.append(lambda: consistency.check_label(case, datasets[case.label.dataset], selection))
    consistency.require_all(checks)


def _has_build(view: str, root: str) -> bool:
    return hasattr(declaration_module("features", view, root), "build")


def _format_problem(error: BaseException) -> str:
    if isinstance(error, DeclarationError):
        return str(error)
    if not isinstance(error, ValidationError):
        return f"{type(error).__name__}: {error}"
    return "; ".join(problems_of(error))
