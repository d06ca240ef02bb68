"""A dry run of a model on its landed files: checks of the data, features, training and gates, in a folder."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from include.catalog import catalog, declaration_module, refresh_catalog
from include.errors import AirworthyError, DataError, GateFailed
from include.scaffold.history import datasets_of, landed_partitions, views_of
from include.settings import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from include.data.lake.delta_tables import Lake
    from include.data.snapshots.leakage_history import LeakageRecord
    from include.data.snapshots.splits import Splits
    from include.declarations import Dataset, FeatureView, UseCase
    from include.modeling.gates import Verdict
    from include.partitions import Partition

# Newest partitions that are read: enough for a model, and few enough for half a minute.
MAX_PARTITIONS = 400
RUN = "validate"
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
    """Read the landed partitions, check them, and publish the accepted rows to the folder's lake."""
    from include.data.quality_gate import accepted_schema, validate
    from include.data.sources.files import Landing
    from include.storage.staging import Staging, staging_path

    partitions = landed_partitions(dataset)[-MAX_PARTITIONS:]
    staging = Staging(lake.uri, {}, "lake_default")
    extract = Landing(settings().landing_uri).read(dataset, partitions)
    path, n_rows = staging.write_tables(RUN, f"extracted-{dataset.name}", extract.tables)
    accepted = staging_path(RUN, f"accepted-{dataset.name}")
    with staging.writer(accepted, accepted_schema(dataset, partitions)) as write:
        report = validate(dataset, staging.open(path), partitions, lake=lake, write_accepted=write)
    report.raise_if_failed(dataset.name)
    _publish_accepted(lake, dataset.name, staging.open(accepted), partitions)
    notes = [f"{n_rows:,} rows of {len(partitions)} partitions"]
    return [*notes, *extract.remarks, *report.remarks()]


def _build_view(view: FeatureView, lake: Lake) -> list[str]:
    """Build the features of all partitions that have their inputs, and check them."""
    from include.data.features.build import build_features, build_function
    from include.data.features.leakage_check import check_leakage
    from include.data.features.readiness import dependent_partitions
    from include.data.lake.dtypes import to_frame
    from include.data.lake.partition_columns import PartitionSet
    from include.data.quality_gate import validate
    from include.data.reading.table import read_frame

    sources = catalog().sources
    ready: set[Partition] = set()
    for source in view.sources:
        changed = lake.partitions(source.dataset)
        ready.update(dependent_partitions(view, source.dataset, changed, lake, datasets=sources).ready)
    partitions = sorted(ready)
    if not partitions:
        raise DataError(f"{view.name}: no partition has all of its inputs among the landed files.")
    build = build_function(view)
    frame = build_features(view, build, lake, partitions)
    table = read_frame(frame, view.columns)
    for column in PartitionSet.of(partitions).columns:
        table = table.append_column(column, [frame[column].tolist()])
    rows = to_frame(table)
    check_leakage(view, build, lake, rows, partitions).raise_if_failed(view.name)
    report = validate(view, rows, partitions, lake=lake)
    report.raise_if_failed(view.name)
    _publish_accepted(lake, view.name, report.accepted, partitions)
    return [f"{report.accepted_rows:,} rows of {len(partitions)} partitions", *report.remarks()]


def _publish_accepted(lake: Lake, table: str, rows: object, partitions: Sequence[Partition]) -> None:
    lake.publish(table, rows, partitions, metadata={"run": RUN, "try": "1", "code": ""})  # type: ignore[arg-type]


def _train_dry(use_case: UseCase, lake: Lake, folder: Path) -> list[str]:
    """Train and package the estimator, and judge every gate; there is no champion to compare with."""
    from include.data.snapshots import snapshot as snapshots
    from include.data.snapshots.determination import require_undetermined
    from include.data.snapshots.leakage_history import LeakageRecord
    from include.feature_values import specified_kinds
    from include.modeling.packaging.package import save_package
    from include.modeling.pipeline.workspace import split_snapshot
    from include.modeling.training.build import build_estimator, estimator_builder
    from include.modeling.training.fit import fit_candidate
    from include.specifications import declared_specification

    snapshot = snapshots.create(use_case, lake, None)
    frame = snapshots.read_snapshot(use_case, snapshot, lake)
    require_undetermined(use_case, frame)
    specification = snapshot.specification or declared_specification(use_case)
    splits = split_snapshot(specification, frame)
    estimator = build_estimator(use_case.name, estimator_builder(use_case.name), {})
    trained = fit_candidate(use_case, estimator, splits)
    package = folder / "model"
    save_package(trained.estimator, use_case, splits.train, package, kinds=specified_kinds(specification))
    is_dated = all(view.is_dated for view in views_of(use_case))
    # The features were checked before.
    leakage = LeakageRecord(use_case.feature_view, passed=len(snapshot.calendar_days()), undated=not is_dated)
    verdicts = _judge_dry(use_case, splits, package, leakage)
    _require_no_failure(use_case, verdicts)
    rows = f"{len(splits.train):,} rows to train on, {len(splits.test):,} to test on"
    return [rows, *trained.notes, *(f"{v.gate}: {v.outcome}: {v.reason}" for v in verdicts)]


def _require_no_failure(use_case: UseCase, verdicts: Sequence[Verdict]) -> None:
    failed = [verdict for verdict in verdicts if verdict.outcome == "fail" and verdict.severity == "block"]
    if failed:
        reasons = "; ".join(f"{verdict.gate}: {verdict.reason}" for verdict in failed)
        raise GateFailed(f"{use_case.name} would not be released: {reasons}")


def _judge_dry(
    use_case: UseCase, splits: Splits, package: Path, leakage: LeakageRecord
) -> tuple[Verdict, ...]:
    from include.inference.model import load_unverified
    from include.modeling.evaluation.context import PackagedModel, build_context, sample
    from include.modeling.evaluation.injected_anomalies import with_injected_anomalies
    from include.modeling.evaluation.isolated_process import measure_package
    from include.modeling.gates import judge_gates
    from include.modeling.gates.mandatory import PARITY_ROWS
    from include.modeling.pipeline.collect_evidence import collect_evidence
    from include.modeling.pipeline.workspace import count_overlaps
    from include.modeling.training.fit import feature_columns
    from include.specifications import declared_specification

    measured = with_injected_anomalies(use_case, splits) if use_case.task == "anomaly" else splits
    parity_rows = feature_columns(use_case, sample(measured.test, PARITY_ROWS))
    # In this process: the model was made in it, so that nothing strange is loaded.
    candidate = PackagedModel(
        package, load_unverified(package), lambda: measure_package(package, parity_rows)
    )
    context = build_context(use_case, measured, candidate)
    overlap, _ = count_overlaps(declared_specification(use_case), measured, None)
    evidence = collect_evidence(context, overlap=overlap, champion_overlap=None, refusals=0, leakage=leakage)
    return judge_gates(use_case, evidence)
