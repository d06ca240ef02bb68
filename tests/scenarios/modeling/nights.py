"""Nights of one use case: its rows, a trained version, and the verdicts about a candidate."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from include.catalog import Catalog, catalog
from include.certificates.certificate import Certificate
from include.data.snapshots import snapshot as snapshots
from include.data.snapshots.version_rows import version_rows
from include.declarations import (
    Column,
    FeatureView,
    Improvement,
    Label,
    Split,
    Threshold,
    Training,
    UseCase,
    ViewSource,
)
from include.errors import DataError
from include.feature_values import specified_kinds
from include.inference.model import Interface, ServedModel
from include.inference.start_check import present_version
from include.modeling.evaluation.context import ChampionInput, PackagedModel, build_context
from include.modeling.gates import runner
from include.modeling.pipeline.champion import champion_rows
from include.modeling.pipeline.collect_evidence import collect_evidence
from include.modeling.pipeline.workspace import split_snapshot
from include.modeling.registry.load_version import LoadedVersion
from include.modeling.registry.provenance import code_version, lock_hash
from include.modeling.training.fit import fit_candidate

if TYPE_CHECKING:
    from include.data.lake.delta_tables import Lake

FIRST = date(2013, 3, 1)
DAYS = [FIRST + timedelta(days=number) for number in range(16)]
ROWS_PER_DAY = 40
FLIGHTS = catalog().feature_views["flight_features"]
VIEW = FeatureView(
    name="trips",
    owner="a",
    description="d",
    sources=(ViewSource(dataset="flights"),),
    entity="flight_id",
    time="scheduled_departure",
    horizon=FLIGHTS.horizon,
    columns=(
        Column(name="flight_id", dtype="string"),
        Column(name="scheduled_departure", dtype="timestamp"),
        Column(name="carrier", dtype="string"),
        Column(name="hour", dtype="integer"),
        Column(name="distance", dtype="number"),
        Column(name="wind", dtype="number"),
        Column(name="rain", dtype="number", nullable=True),
    ),
)
USE_CASE = UseCase(
    name="late",
    owner="a",
    description="d",
    task="multiclass",
    feature_view="trips",
    features=("carrier", "hour", "wind"),
    label=Label(dataset="arrivals", column="arr_delay", bands=(15, 60), classes=("on_time", "late", "lost")),
    metric="log_loss",
    gates=(Threshold(metric="log_loss", maximum=1.0), Improvement(metric="log_loss", minimum_gain=0.001)),
    prediction_range=(0, 1),
    split=Split(validation_days=0, test_days=5, embargo_days=0, minimum_rows=100),
    training=Training(stale_days="use"),
)


def build_model(features: tuple[str, ...]) -> Any:
    """Return an estimator of any features: it encodes text, and fills gaps."""
    texts = [name for name in features if name.rpartition(".")[2] == "carrier"]
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = make_column_transformer((encoder, texts), remainder=SimpleImputer())
    return make_pipeline(columns, LogisticRegression(max_iter=500))


def published_rows() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    count = ROWS_PER_DAY * len(DAYS)
    day = np.repeat([f"{day}" for day in DAYS], ROWS_PER_DAY)
    number = np.tile(np.arange(ROWS_PER_DAY), len(DAYS))
    return pd.DataFrame(
        {
            "flight_id": [f"{row_day}-{row}" for row_day, row in zip(day, number, strict=True)],
            "scheduled_departure": pd.to_datetime([f"{row_day}T12:00Z" for row_day in day]),
            "carrier": rng.choice(["AA", "UA"], count),
            "hour": rng.integers(5, 23, count),
            "distance": rng.uniform(100, 2_500, count),
            "wind": rng.normal(10, 3, count),
            "rain": np.where(rng.random(count) < 0.2, np.nan, rng.random(count)),
            "_airworthy_day": day,
        }
    )


@dataclass(frozen=True)
class TrainedNight:
    """A trained version: its declaration, snapshot, model and certificate."""

    declared: Catalog
    snapshot: snapshots.Snapshot
    loaded: LoadedVersion
    test: pd.DataFrame

    @property
    def use_case(self) -> UseCase:
        return self.declared.use_cases["late"]


def declare(view: FeatureView = VIEW, **changes: Any) -> Catalog:
    use_case = USE_CASE.model_copy(update=changes)
    views = {**catalog().feature_views, view.name: view}
    return Catalog(catalog().datasets, views, {"late": use_case})


def train(declared: Catalog, lake: Lake) -> TrainedNight:
    use_case = declared.use_cases["late"]
    snapshot = snapshots.create(use_case, lake, None, declared=declared)
    specification = snapshot.specification
    assert specification is not None
    frame = snapshots.read_snapshot(use_case, snapshot, lake, declared=declared)
    splits = split_snapshot(specification, frame)
    estimator = fit_candidate(use_case, build_model(use_case.features), splits).estimator
    types = specified_kinds(specification)
    interface = Interface("late", use_case.task, types, (0, 1), use_case.label.classes)
    certificate = Certificate.model_construct(
        snapshot=json.loads(snapshot.to_json()),
        label=use_case.label.description,
        environment={name: present_version(name) for name in ("scikit-learn", "numpy")},
        code_version=code_version(),
        lock_hash=lock_hash(),
        sources={},
    )
    loaded = LoadedVersion(1, ServedModel(estimator, interface), certificate)
    return TrainedNight(declared, snapshot, loaded, splits.test)


def evaluate(candidate: TrainedNight, champion: TrainedNight, lake: Lake) -> dict[str, str]:
    """Return the outcome and the reason of each gate by name."""
    specification = candidate.snapshot.specification
    assert specification is not None
    rows = None
    problem = ""
    try:
        rows = champion_rows(
            specification,
            champion.loaded,
            candidate.test,
            lambda others, test: version_rows(others, candidate.snapshot, lake, test),
        )
    except DataError as error:
        problem = str(error)
    use_case = candidate.use_case
    splits = split_snapshot(specification, snapshots.read_snapshot(use_case, candidate.snapshot, lake))
    former = PackagedModel(Path(), champion.loaded.model)
    context = build_context(
        use_case,
        splits,
        PackagedModel(Path(), candidate.loaded.model),
        champion=ChampionInput(1, former, rows, problem),
    )
    evidence = collect_evidence(context, overlap=0, champion_overlap=0, refusals=0)
    verdicts = runner.judge_gates(use_case, evidence)
    return {verdict.gate: f"{verdict.outcome}: {verdict.reason}" for verdict in verdicts}
