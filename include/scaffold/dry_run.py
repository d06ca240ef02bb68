"""A dry run of a model on its landed files: checks of the data, features, training and gates, in a folder."""

from __future__ import annotations

import re
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from include.catalog import catalog, declaration_module, refresh_catalog
from include.errors import AirworthyError, DataError, GateFailed
from include.scaffold.history import datasets_of, landed_partitions, views_of
from include.scaffold.local_lake import build_checked, complete_partitions, publish_landed, publish_rows
from include.stack.verdicts import describe_verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from include.data.lake.delta_tables import Lake
    from include.declarations import Dataset, FeatureView, UseCase
    from include.modeling.gates import Verdict

# Newest partitions that are read: enough for a model, and few enough for half a minute.
MAX_PARTITIONS = 400
ATTRIBUTES = {"datasets": "DATASET", "features": "FEATURE_VIEW", "use_cases": "USE_CASE"}


@dataclass(frozen=True)
class CheckedStep:
    """
    One step of a validation.

    Attributes
    ----------
    title
        What was checked.
    location
        File and line of the declaration; empty if there is none.
    problem
        What is wrong, and the remedy; empty if nothing is.
    notes
        Figures and warnings.
    seconds
        How long it took.
    """

    title: str
    location: str = ""
    problem: str = ""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0


def check_declarations() -> list[CheckedStep]:
    """Import all declarations and return one step for each file with a problem, or one that all are valid."""
    start = time.perf_counter()
    declared = refresh_catalog()
    problems = declared.problems
    seconds = time.perf_counter() - start
    steps = []
    for problem in problems:
        file, _, text = problem.partition(": ")
        steps.append(CheckedStep("declarations", f"include/{file}", text, seconds=seconds))
    if steps:
        return steps
    n_declared = len(declared.datasets) + len(declared.feature_views) + len(declared.use_cases)
    return [CheckedStep("declarations", notes=(f"{n_declared} are valid",), seconds=seconds)]


def dry_run(name: str) -> Iterator[CheckedStep]:
    """
    Yield the steps of a dry run of a model; after a problem there are none.

    Nothing is written but a folder that is deleted at the end, and nothing needs to run.
    """
    from include.data.lake.delta_tables import Lake

    use_case = catalog().use_cases[name]
    with TemporaryDirectory(prefix="airworthy-validate-") as folder:
        lake = Lake(f"{folder}/lake")
        actions: list[tuple[str, str, str, Callable[[], list[str]]]] = []
        for dataset in datasets_of(use_case):
            read = partial(_read_landed, dataset, lake)
            actions.append((f"data of {dataset.name}", "datasets", dataset.name, read))
        for view in views_of(use_case):
            build = partial(_build_view, view, lake)
            actions.append((f"features of {view.name}", "features", view.name, build))
        train = partial(_train_dry, use_case, lake, Path(folder))
        actions.append(("training and gates", "use_cases", name, train))
        for title, kind, declared, action in actions:
            start = time.perf_counter()
            location = declaration_location(kind, declared)
            try:
                notes = action()
            except AirworthyError as error:
                yield CheckedStep(title, location, str(error), seconds=time.perf_counter() - start)
                return
            yield CheckedStep(title, location, notes=tuple(notes), seconds=time.perf_counter() - start)


def declaration_location(kind: str, name: str) -> str:
    """Return file and line of a declaration, such as `include/use_cases/churn.py:54`."""
    module = declaration_module(kind, name)
    path = Path(module.__file__ or "")
    pattern = re.compile(rf"{ATTRIBUTES[kind]}\s*[:=]")
    lines = path.read_text().splitlines()
    number = next((n for n, line in enumerate(lines, start=1) if pattern.match(line)), 1)
    return f"include/{path.parent.name}/{path.name}:{number}"


def _read_landed(dataset: Dataset, lake: Lake) -> list[str]:
    return publish_landed(dataset, lake, landed_partitions(dataset)[-MAX_PARTITIONS:])


def _build_view(view: FeatureView, lake: Lake) -> list[str]:
    """Build the features of all partitions that have their inputs, and check them."""
    partitions = complete_partitions(view, lake)
    if not partitions:
        raise DataError(f"{view.name}: no partition has all of its inputs among the landed files.")
    accepted, report = build_checked(view, lake, partitions)
    publish_rows(lake, view.name, accepted, partitions)
    return [f"{report.accepted_rows:,} rows of {len(partitions)} partitions", *report.remarks()]


def _train_dry(use_case: UseCase, lake: Lake, folder: Path) -> list[str]:
    """Train and package the estimator, and judge every gate; there is no champion to compare with."""
    from include.data.snapshots import snapshot as snapshots
    from include.data.snapshots.leakage_history import LeakageRecord
    from include.modeling.evaluation.context import DataHistory
    from include.modeling.pipeline.unregistered import (
        judge_unregistered,
        split_checked,
        train_unregistered,
    )
    from include.specifications import declared_specification

    snapshot, frame = snapshots.create_with_rows(use_case, lake, None)
    specification = snapshot.specification or declared_specification(use_case)
    splits = split_checked(specification, frame)
    package = folder / "model"
    notes = train_unregistered(specification, splits, package)
    is_dated = all(view.is_dated for view in views_of(use_case))
    # The features were checked before.
    leakage = LeakageRecord(use_case.feature_view, passed=len(snapshot.calendar_days()), undated=not is_dated)
    history = DataHistory(leakage)
    verdicts = judge_unregistered(specification, splits, package, history=history).verdicts
    _require_no_failure(use_case, verdicts)
    rows = f"{len(splits.train):,} rows to train on, {len(splits.test):,} to test on"
    return [rows, *notes, *(describe_verdict(asdict(verdict)) for verdict in verdicts)]


def _require_no_failure(use_case: UseCase, verdicts: Sequence[Verdict]) -> None:
    failed = [verdict for verdict in verdicts if verdict.outcome == "fail" and verdict.severity == "block"]
    if failed:
        reasons = "; ".join(f"{verdict.gate}: {verdict.reason}" for verdict in failed)
        raise GateFailed(f"{use_case.name} would not be released: {reasons}")
