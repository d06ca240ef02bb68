"""Checks of declarations against each other: names, landing paths, sources, labels and features."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from posixpath import normpath
from typing import TYPE_CHECKING, Any

from include.declarations.data.file_formats import FileFormat
from include.declarations.gates import Fairness, GoldenPredictions, Robustness
from include.declarations.labels import check_label_rows
from include.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from include.declarations.data.columns import Column
    from include.declarations.data.datasets import Dataset
    from include.declarations.data.features import FeatureView, ViewSource
    from include.declarations.gates import AnyGate
    from include.declarations.relations.feature_selection import FeatureSelection
    from include.declarations.use_cases import UseCase

# Types of the values that a golden row may have, by the type of the column.
GOLDEN_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}
# Noise of an integer column that leaves each value as it is.
ROUNDED_NOISE = 0.5


def require_name(name: str, existing: Mapping[str, Any] | set[str], field: str) -> None:
    """Raise DeclarationError if `field` of a declaration names something that does not exist."""
    if name not in existing:
        raise DeclarationError(f"{field}: {name!r} does not exist; there are {', '.join(sorted(existing))}")


def require_all(checks: Iterable[Callable[[], None]]) -> None:
    """Run all checks, and raise one DeclarationError with the problems of those that raise one."""
    problems = []
    for check in checks:
        try:
            check()
        except DeclarationError as error:
            problems.append(str(error))
    if problems:
        raise DeclarationError("; ".join(dict.fromkeys(problems)))


def check_foreign_keys(declared: Dataset | FeatureView, datasets: Mapping[str, Dataset]) -> None:
    """Raise DeclarationError if a foreign key refers to a column that does not exist or has another type."""
    types = {column.name: column.dtype for column in declared.columns}
    for foreign_key in declared.foreign_keys:
        require_name(foreign_key.dataset, datasets, "foreign_keys.dataset")
        referenced = {column.name: column.dtype for column in datasets[foreign_key.dataset].columns}
        for column, other in zip(foreign_key.columns, foreign_key.referenced_columns, strict=True):
            require_name(other, referenced, "foreign_keys.references")
            if types[column] != referenced[other]:
                raise DeclarationError(
                    f"foreign_keys: {column} is a {types[column]}, but {other} of {foreign_key.dataset} is a "
                    f"{referenced[other]}: no value of one equals one of the other"
                )


def check_landing_path(dataset: Dataset, datasets: Mapping[str, Dataset]) -> None:
    """
    Raise DeclarationError if an earlier dataset, by name, has files at the same path.

    One of two is refused, so that the mistake of one team does not stop both.
    """
    path = _landing_path(dataset)
    if path is None:
        return
    others = (other for other in datasets.values() if other.name < dataset.name)
    same = [other.name for other in others if _landing_path(other) == path]
    if same:
        raise DeclarationError(
            f"source.path: {path} is the path of {' and '.join(sorted(same))} too, so the files of one would "
            f"be taken for those of the other; give {dataset.name} a path of its own"
        )


def check_view_name(view: FeatureView, datasets: Mapping[str, Dataset]) -> None:
    """Raise DeclarationError if a dataset has the view's name, and so its table."""
    if view.name in datasets:
        raise DeclarationError(
            f"name: {view.name!r} is a dataset too, and both would be the table {view.name}; rename the view"
        )


def check_lookback(view: FeatureView, source: ViewSource, dataset: Dataset) -> None:
    """Raise DeclarationError if no partition that the view reads of a dataset is known in time."""
    missing = dataset.known_after - view.known_after - source.lookback
    # Of a whole dataset, a version of an earlier day is known.
    if missing > timedelta(0) and not dataset.whole:
        raise DeclarationError(
            f"sources: {dataset.name} is known {dataset.known_after} after a partition begins, and "
            f"{view.name}, which looks back {source.lookback}, is built {view.known_after} after one begins: "
            f"nothing of {dataset.name} would be known in time. Look back {missing} further, remove "
            f"{dataset.name}, or correct `known_from`"
        )


def check_label(case: UseCase, dataset: Dataset, selection: FeatureSelection) -> None:
    """Raise DeclarationError if the label's column, or what it is joined by, is not in its dataset."""
    columns = {column.name: column for column in dataset.columns}
    checks = [
        lambda: _require_days(dataset),
        lambda: _require_label_keys(dataset, columns, selection),
        lambda: check_label_rows(case.label, selection.views[0], dataset),
    ]
    if case.label.column in columns:
        checks.append(lambda: case.label.check_column(columns[case.label.column], case.task))
    else:
        checks.append(lambda: require_name(case.label.column, columns, "label.column"))
    require_all(checks)


def check_features(
    case: UseCase,
    selection: FeatureSelection,
    views: Mapping[str, FeatureView],
    *,
    has_build: Callable[[str], bool],
) -> None:
    """
    Raise DeclarationError if a feature, or a column of the baseline or a gate, cannot be used.

    Parameters
    ----------
    case
        Use case whose columns exist.
    selection
        Origin and type of each of its columns.
    views
        Feature views by name.
    has_build
        Function that says whether a feature view has a `build`; without it, columns are those of its source.
    """
    checks: list[Callable[[], None]] = []
    for feature in case.features:
        checks.append(partial(_require_usable_feature, feature, case, selection))
        checks.append(partial(_require_no_label, feature, case, selection, views, has_build))
    for column in case.baseline_by:
        checks.append(partial(_require_group, column, "baseline_by", selection))
    for gate in case.gates:
        checks.append(partial(_require_gate_columns, gate, selection))
    require_all(checks)


def _landing_path(dataset: Dataset) -> str | None:
    """Return the normal form of the path of a dataset's files; None if it has none."""
    if not isinstance(dataset.source, FileFormat):
        return None
    # A path that begins with a slash is below the landing folder, too.
    return normpath(dataset.source.path).lstrip("/")


def _require_days(dataset: Dataset) -> None:
    """Raise DeclarationError if the labels of a day in UTC are not in partitions of that day."""
    if dataset.granularity in {"week", "month"} or dataset.calendar.time_zone != "UTC":
        raise DeclarationError(
            f"label.dataset: the partitions of {dataset.name} are no days or hours in UTC, in which labels "
            "are joined to features; declare it with granularity day or hour and without time_zone"
        )


def _require_label_keys(dataset: Dataset, columns: Mapping[str, Column], selection: FeatureSelection) -> None:
    """Raise DeclarationError if labels cannot be joined to the rows of the spine."""
    spine = selection.spine
    if spine.has_labels:
        return
    for key in spine.keys:
        if key not in columns:
            raise DeclarationError(
                f"label.dataset: {dataset.name} has no column {key}, by which its labels are joined to rows "
                f"of {spine.table}; it has {', '.join(sorted(columns))}. Add it, or declare label.time"
            )
        if columns[key].dtype != spine.types[key]:
            raise DeclarationError(
                f"label.dataset: {key} is a {columns[key].dtype} in {dataset.name} and a {spine.types[key]} "
                f"in {spine.table}: no label would be joined to a row. Give both one type"
            )


def _require_usable_feature(name: str, case: UseCase, selection: FeatureSelection) -> None:
    origin = selection.origins[name]
    if origin.column in selection.entity_types:
        raise DeclarationError(
            f"features: {name!r} is the entity of {origin.table}: a model would learn entities by heart"
        )
    if selection.columns[name].dtype == "timestamp":
        raise DeclarationError(
            f"features: {name!r} is a timestamp: those of new rows are later than all of the training rows. "
            f"Derive a feature from it, such as the hour, in {origin.table}"
        )


def _require_no_label(
    name: str,
    case: UseCase,
    selection: FeatureSelection,
    views: Mapping[str, FeatureView],
    has_build: Callable[[str], bool],
) -> None:
    """Raise DeclarationError if a feature is the column of the label, as it is or passed on by views."""
    table, column = selection.origins[name]
    path = [table]
    # A view without `build` has one source, and its rows are those of the source.
    while table in views and not has_build(table):
        table = views[table].sources[0].dataset
        path.append(table)
    if (table, column) == (case.label.dataset, case.label.column):
        passed_on = f", which {' passes on from '.join(path)}" if len(path) > 1 else ""
        raise DeclarationError(
            f"features: {name!r} is the label {table}.{column}{passed_on}: nobody can send it before the "
            "event; remove it"
        )


def _require_group(name: str, field: str, selection: FeatureSelection) -> None:
    """Raise DeclarationError if rows cannot be grouped by a column: each has a value of its own."""
    column = selection.columns[name]
    # A part of an entity, such as the shop of shop and article, has many rows.
    if any(view.keys == (selection.origins[name].column,) for view in selection.views):
        raise DeclarationError(
            f"{field}: {name} is an entity, so a group would be one entity and not tell of others; name a "
            "column that describes it"
        )
    if column.dtype == "timestamp":
        raise DeclarationError(
            f"{field}: {name} is a timestamp, so hardly two rows would be in one group; derive a column from "
            "it, such as the hour"
        )


def _require_gate_columns(gate: AnyGate, selection: FeatureSelection) -> None:
    field = f"gates.{gate.name}"
    if isinstance(gate, Fairness):
        for name in gate.columns:
            _require_group(name, f"{field}.column", selection)
    elif isinstance(gate, Robustness):
        _require_perturbed_types(gate, field, selection.columns)
    elif isinstance(gate, GoldenPredictions):
        for case in gate.cases:
            for name, value in case.row.items():
                _require_golden_value(selection.columns[name], value, f"{field}.{case.name}")


def _require_perturbed_types(gate: Robustness, field: str, columns: Mapping[str, Column]) -> None:
    numeric = {"integer", "number"}
    kinds = {
        "noise": (gate.noise, numeric),
        "extremes": (gate.extremes, numeric),
        "unseen": (gate.unseen, {"string"}),
    }
    for kind, (names, dtypes) in kinds.items():
        wrong = [f"{name} is a {columns[name].dtype}" for name in names if columns[name].dtype not in dtypes]
        if wrong:
            raise DeclarationError(
                f"{field}.{kind}: {', '.join(wrong)}, and {kind} is for columns of type "
                f"{' or '.join(sorted(dtypes))}; remove the column from {kind}"
            )
    for name, error in gate.noise.items():
        if columns[name].dtype == "integer" and error <= ROUNDED_NOISE:
            raise DeclarationError(
                f"{field}.noise: {name} is an integer, and noise of {error:g} is rounded away, so that it "
                f"can never fire; declare more than {ROUNDED_NOISE}"
            )


def _require_golden_value(column: Column, value: object, field: str) -> None:
    if value is None:
        if not column.nullable:
            raise DeclarationError(f"{field}: {column.name} is None, but the column is not nullable")
        return
    if type(value) not in GOLDEN_TYPES.get(column.dtype, ()):
        raise DeclarationError(
            f"{field}: {column.name} is {value!r}, but the column is a {column.dtype}; give such a value"
        )
