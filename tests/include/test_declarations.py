from __future__ import annotations

from datetime import date, timedelta

import pytest
from pydantic import ValidationError

from include.datasets.flights import DATASET
from include.declarations import (
    Budget,
    BusinessValue,
    Calibration,
    Column,
    DatabaseSource,
    Dataset,
    DecisionCost,
    DriftPolicy,
    ErrorCost,
    Fairness,
    FeatureView,
    FileSource,
    ForeignKey,
    Freshness,
    GoldenCase,
    GoldenPredictions,
    Improvement,
    Label,
    Leakage,
    Online,
    Overfitting,
    RetrainPolicy,
    Robustness,
    Rollout,
    Slo,
    Split,
    Stability,
    Threshold,
    UseCase,
    ViewSource,
)
from include.features.flight_features import FEATURE_VIEW
from include.use_cases.air_time import USE_CASE as AIR_TIME
from include.use_cases.flight_delay import USE_CASE


def again(declaration, **changes):
    """Declare the same thing once more with other values, checked like a new one."""
    fields = {name: getattr(declaration, name) for name in type(declaration).model_fields}
    return type(declaration)(**(fields | changes))


@pytest.mark.parametrize("declaration", [DATASET, FEATURE_VIEW, USE_CASE], ids=lambda declared: declared.name)
def test_what_is_declared_is_valid_frozen_and_travels_as_json(declaration):
    assert again(declaration) == declaration
    assert type(declaration).model_validate_json(declaration.model_dump_json()) == declaration
    with pytest.raises(ValidationError, match="frozen"):
        declaration.name = "other"


def fairness(metric, **limits):
    return Fairness(column="origin", metrics=(metric,), **limits)


def golden(row):
    return GoldenPredictions(cases=(GoldenCase(name="calm", row=row, maximum=0.5),))


def rules():
    return []


def test_expectations_become_an_import_path():
    declared = again(DATASET, expectations=rules)
    assert declared.expectations == f"{__name__}:rules"
    assert again(DATASET, expectations=f"{__name__}:rules") == declared
    assert type(declared).model_validate_json(declared.model_dump_json()) == declared


IMPOSSIBLE = {
    "expectations of no module": (
        lambda: again(DATASET, expectations="include.nowhere:rules"),
        "'include.nowhere:rules' is no function: give module:name",
    ),
    "expectations of a lambda": (
        lambda: again(FEATURE_VIEW, expectations=lambda: []),
        "must be a function of a module",
    ),
    "foreign key of another size": (
        lambda: ForeignKey(columns=("a", "b"), dataset="shops", references=("a",)),
        "references: 1 columns cannot be compared with 2",
    ),
    "foreign key of no column": (
        lambda: again(FEATURE_VIEW, foreign_keys=(ForeignKey(columns=("shop",), dataset="shops"),)),
        "foreign_keys.columns: unknown shop",
    ),
    "freshness of a view's text": (
        lambda: again(FEATURE_VIEW, freshness=Freshness(column="carrier", within=timedelta(hours=1))),
        "freshness.column: unknown carrier",
    ),
    "hours of a daily dataset": (
        lambda: again(DATASET, stability=Stability(compare_with="same_hour")),
        "stability.compare_with: a day has no hours",
    ),
    "unknown field": (lambda: again(USE_CASE, metirc="roc_auc"), "metirc\n.*not permitted"),
    "name with a capital": (lambda: again(USE_CASE, name="Delay"), "name\n"),
    "metric of the other task": (
        lambda: again(USE_CASE, metric="mae"),
        "metric of a binary task: unknown mae",
    ),
    "gate of the other task": (
        lambda: again(USE_CASE, gates=(Improvement(metric="r2"),)),
        "metric of a binary task: unknown r2",
    ),
    "unknown gate": (lambda: again(USE_CASE, gates=({"kind": "luck", "metric": "r2"},)), "gates.0\n"),
    "feature twice": (
        lambda: again(USE_CASE, features=("hour", "hour")),
        "features: hour named more than once",
    ),
    "no feature": (lambda: again(USE_CASE, features=()), "features\n"),
    "classifier of three classes": (
        lambda: again(USE_CASE, label=Label(dataset="arrivals", column="band", classes=("a", "b", "c"))),
        "label.classes: a binary task has two",
    ),
    "empty prediction range": (lambda: again(USE_CASE, prediction_range=(1, 1)), "prediction_range"),
    "endless prediction range": (
        lambda: again(USE_CASE, prediction_range=(0, float("inf"))),
        "prediction_range.1",
    ),
    "gate that never fires": (lambda: Threshold(metric="roc_auc"), "can never fire"),
    "gate that nothing passes": (lambda: Threshold(metric="rmse", minimum=2, maximum=1), "nothing can pass"),
    "area above 1": (lambda: Threshold(metric="roc_auc", minimum=1.2), "never above 1"),
    "loss below 0": (lambda: Threshold(metric="log_loss", maximum=-0.1), "never below 0"),
    "area that everything has": (lambda: Threshold(metric="roc_auc", minimum=0), "can never fire"),
    "gain of more than all": (lambda: Improvement(metric="roc_auc", minimum_gain=1), "is impossible"),
    "gap of more than all": (lambda: Overfitting(metric="roc_auc", maximum_gap=1), "can never fire"),
    "slices of all": (lambda: fairness("selection_rate", maximum_gap=1), "can never fire"),
    "limit that is no number": (lambda: Threshold(metric="roc_auc", minimum=float("nan")), "finite number"),
    "certainty": (lambda: Improvement(metric="mae", confidence=1), "confidence\n"),
    "no gap": (lambda: Overfitting(metric="mae", maximum_gap=0), "maximum_gap\n"),
    "two gates of one name": (
        lambda: again(USE_CASE, gates=(Threshold(metric="roc_auc", minimum=0.6),) * 2),
        r"gates: threshold_roc_auc \(block\) named more than once",
    ),
    "calibrated regression": (
        lambda: again(AIR_TIME, gates=(Calibration(maximum_error=0.1),)),
        "calibration: a model that is judged by mae predicts a median",
    ),
    "no calibration error": (lambda: Calibration(maximum_error=0), "maximum_error\n"),
    "fairness of an unknown metric": (lambda: fairness("niceness", maximum_gap=0.1), "metrics.0"),
    "fairness of a metric of another task": (
        lambda: again(USE_CASE, gates=(fairness("mae", maximum_gap=0.1),)),
        "fairness_origin: metric of a binary task: unknown mae",
    ),
    "rates of a regression": (
        lambda: again(AIR_TIME, gates=(fairness("selection_rate", maximum_gap=0.1),)),
        "fairness_origin: metric of a regression task: unknown selection_rate",
    ),
    "fairness that never fires": (lambda: fairness("roc_auc"), "maximum_gap or minimum_ratio"),
    "noise without end": (lambda: Robustness(noise={"temp": 0}), "measurement error of temp must be above 0"),
    "robustness of nothing": (lambda: Robustness(), "name columns for noise"),
    "robustness of no feature": (
        lambda: again(USE_CASE, gates=(Robustness(missing=("tailnum",)),)),
        "robustness: unknown tailnum",
    ),
    "noise without a tolerance": (
        lambda: again(AIR_TIME, gates=(Robustness(noise={"wind_speed": 1}),)),
        "robustness: give a tolerance",
    ),
    "exemption of no feature": (
        lambda: again(USE_CASE, gates=(Leakage(maximum=0.9, exempt=("tailnum",)),)),
        "leakage: exempt: unknown tailnum",
    ),
    "leak that never is one": (lambda: Leakage(maximum=1), "maximum\n"),
    "budget of 0": (lambda: Budget(maximum_latency_ms=0), "maximum_latency_ms\n"),
    "budget without a limit": (lambda: Budget(), "at least one limit"),
    "golden row without a feature": (
        lambda: again(USE_CASE, gates=(golden({"hour": 6}),)),
        "golden_predictions: calm lacks carrier",
    ),
    "golden row with too much": (
        lambda: again(USE_CASE, gates=(golden(dict.fromkeys((*USE_CASE.features, "tailnum"))),)),
        "golden_predictions: calm: unknown tailnum",
    ),
    "golden row that may be anything": (
        lambda: GoldenCase(name="calm", row={}),
        "a minimum or a maximum",
    ),
    "value without a cost": (
        lambda: again(USE_CASE, gates=(BusinessValue(),), cost=None),
        "business_value: declare the cost of the use case",
    ),
    "negative cost": (
        lambda: DecisionCost(currency="USD", false_positive=-1, false_negative=1),
        "false_positive",
    ),
    "cost of nothing": (
        lambda: DecisionCost(currency="USD", false_positive=0, false_negative=1),
        "no model is needed",
    ),
    "cost in shells": (lambda: ErrorCost(currency="shells", over=1, under=1), "currency\n"),
    "cost of one side": (lambda: ErrorCost(currency="USD", over=0, under=1), "over and under"),
    "cost of the other task": (
        lambda: again(USE_CASE, gates=USE_CASE.gates[:1], cost=ErrorCost(currency="USD", over=1, under=1)),
        "cost: ErrorCost is not for a binary task",
    ),
    "slot twice": (
        lambda: again(USE_CASE, baseline_by=("hour", "hour")),
        "baseline_by: hour named more than once",
    ),
    "steps that fall": (lambda: Rollout(steps=(25, 2, 100)), "steps must rise"),
    "steps that stop early": (lambda: Rollout(steps=(2, 25)), "end at 100"),
    "no steps": (lambda: Rollout(steps=()), "end at 100"),
    "step above everything": (lambda: Rollout(steps=(2, 101)), "steps.1\n"),
    "share above 1": (lambda: Rollout(shadow_share=1.5), "shadow_share\n"),
    "baking backwards": (lambda: Rollout(bake=timedelta(seconds=-1)), "bake\n"),
    "k of fewer": (lambda: RetrainPolicy(k=4, n=3), "can never be reached"),
    "cooldown backwards": (lambda: RetrainPolicy(cooldown=timedelta(days=-1)), "cooldown\n"),
    "drift without a window": (lambda: DriftPolicy(window_days=0), "window_days\n"),
    "availability of 999": (lambda: Slo(availability=999), "availability\n"),
    "no test days": (lambda: Split(test_days=0), "test_days\n"),
    "column out of bounds": (
        lambda: Column(name="x", dtype="number", minimum=2, maximum=1),
        "is above maximum",
    ),
    "column twice": (
        lambda: again(DATASET, columns=(*DATASET.columns, DATASET.columns[0])),
        "flight_id named more than once",
    ),
    "unknown key": (
        lambda: again(DATASET, key=("flight_di",)),
        "key: unknown flight_di; there are .*flight_id",
    ),
    "first day within a week": (
        lambda: again(DATASET, granularity="week", first_partition=date(2013, 1, 2)),
        "first_partition: 2013-01-02 does not begin a week; give its first day, 2012-12-31",
    ),
    "hours of a zone": (
        lambda: again(DATASET, granularity="hour", time_zone="Asia/Tokyo"),
        "time_zone: hours are those of UTC",
    ),
    "volume upside down": (lambda: again(DATASET, volume=(10, 1)), "volume: the lower bound 10"),
    "end before the beginning": (
        lambda: again(DATASET, last_partition=date(2012, 1, 1)),
        "before first_partition",
    ),
    "delimiter of two letters": (
        lambda: FileSource(path="flights/{partition}.csv", delimiter=";;"),
        "delimiter",
    ),
    "query of no partition": (
        lambda: DatabaseSource(conn_id="shop", query="SELECT * FROM sold WHERE at > :start"),
        "there is no :end outside literals and comments",
    ),
    "query with the names in a literal or comment": (
        lambda: DatabaseSource(conn_id="shop", query="SELECT ':start' FROM sold -- :end\n"),
        "there is no :start and no :end",
    ),
    "query with longer words": (
        lambda: DatabaseSource(
            conn_id="shop", query="SELECT * FROM sold WHERE at > :started AND at < :ended"
        ),
        "there is no :start and no :end",
    ),
    "query of two statements": (
        lambda: DatabaseSource(conn_id="shop", query="SET x TO 1; SELECT :start, :end"),
        "there are 2 statements",
    ),
    "unknown time zone": (
        lambda: DatabaseSource(conn_id="shop", query="SELECT :start, :end", time_zone="New York"),
        "'New York' is no time zone",
    ),
    "watermark that is an expression": (
        lambda: DatabaseSource(conn_id="shop", query=":start :end", watermark="max(changed)"),
        "watermark\n",
    ),
    "column with the prefix of internal columns": (
        lambda: Column(name="_airworthy_day", dtype="string"),
        "name\n",
    ),
    "step longer than its patience": (lambda: Rollout(bake=60, patience=60), "must be above bake"),
    "copies that nobody sends": (lambda: Rollout(shadow_share=0, count_mirrored=True), "no copies to count"),
    "negative volume": (lambda: again(DATASET, volume=(-5, -1)), "volume: .* must be numbers of rows"),
    "volume of nothing": (lambda: again(FEATURE_VIEW, volume=(0, 0)), "volume: .* must be numbers of rows"),
    "table of the quarantine": (lambda: again(DATASET, name="a_quarantine"), "end with _quarantine"),
    "table of predictions": (lambda: again(FEATURE_VIEW, name="a_predictions"), "end with _predictions"),
    "unknown entity": (lambda: again(FEATURE_VIEW, entity="plane"), "entity: unknown plane"),
    "unknown time": (lambda: again(FEATURE_VIEW, time="when"), "time: unknown when"),
    "time that is none": (
        lambda: again(FEATURE_VIEW, time="hour"),
        "time: hour must be a column of type timestamp",
    ),
    "entity of numbers": (
        lambda: again(FEATURE_VIEW, entity="distance"),
        "entity: distance must be a column of type string or integer",
    ),
    "column of no source": (
        lambda: again(FEATURE_VIEW, sources=(ViewSource(dataset="flights", columns=("hours",)),)),
        "sources.columns: unknown hours",
    ),
    "online for no day": (lambda: Online(days=0), "days\n"),
    "source twice": (
        lambda: again(FEATURE_VIEW, sources=FEATURE_VIEW.sources * 2),
        "flights, weather named more than once",
    ),
    "knowing the future": (lambda: again(FEATURE_VIEW, horizon=timedelta(hours=-1)), "horizon\n"),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_what_is_impossible_is_refused_by_name(case):
    declare, message = IMPOSSIBLE[case]
    with pytest.raises(ValidationError, match=message):
        declare()


def test_every_declaration_class_has_an_impossible_case():
    kinds = (
        Dataset,
        FeatureView,
        UseCase,
        Rollout,
        DriftPolicy,
        RetrainPolicy,
        Slo,
        Split,
        Column,
        FileSource,
    )
    titles = set()
    for declare, _ in IMPOSSIBLE.values():
        with pytest.raises(ValidationError) as raised:
            declare()
        titles.add(raised.value.title)
    assert {kind.__name__ for kind in kinds} <= titles


def test_feature_view_names_known_at_and_sources_of_columns():
    moments = {column.name: column for column in FEATURE_VIEW.columns if column.name.endswith("_known_at")}
    assert {name: column.dtype for name, column in moments.items()} == {
        "flights_known_at": "timestamp",
        "weather_known_at": "timestamp",
    }
    assert [source.dataset for source in FEATURE_VIEW.sources_of("temp")] == ["weather"]
    assert [source.dataset for source in FEATURE_VIEW.sources_of("flight_id")] == ["flights", "weather"]
    features = {column.name for column in FEATURE_VIEW.features}
    assert {"hour", "temp"} <= features
    assert features.isdisjoint({"flight_id", "scheduled_departure", *moments})
