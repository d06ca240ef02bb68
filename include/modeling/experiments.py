"""Comparison of trainings of one use case, experiments among them: inputs, metrics, gain on the champion."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from include.errors import DataError
from include.modeling.evaluation.evidence import Evidence
from include.modeling.gates import report as gate_report
from include.modeling.pipeline.workspace import EVIDENCE
from include.modeling.registry.run_keys import EXPERIMENT, SUPERSEDED_BY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlflow.entities import Run

    from include.declarations import UseCase
    from include.modeling.evaluation.evidence import Gain
    from include.modeling.registry.tracking import Tracking

MAX_LISTED_RUNS = 10
AS_OF = "airworthy.as_of"
DAG_RUN = "airworthy.run"


@dataclass(frozen=True, slots=True)
class MetricFigures:
    """A metric on the test rows, its 95 % interval, and that of the baseline on the same rows."""

    value: float
    interval: tuple[float, float] | None
    baseline: float | None


@dataclass(frozen=True, slots=True)
class TrainingSummary:
    """
    Inputs and results of one training.

    Parameters
    ----------
    run_id, dag_run
        MLflow run, and run in Airflow.
    status
        Status of the MLflow run.
    is_experiment
        Whether the run is an experiment, which is never registered.
    as_of, days
        Day before which the data ends, and its first and last day.
    features, parameters
        Features, and parameters of `build_model()` that were tuned or given.
    rows
        Rows of each split.
    metrics
        Metrics on the test rows; none before the evaluation.
    champion
        Version of the champion then, if there was one.
    gain
        Gain on the champion in the use case's metric; None without a comparison.
    conclusion, failed
        Conclusion of the gates, and those that failed.
    """

    run_id: str
    dag_run: str
    status: str
    is_experiment: bool
    as_of: str
    days: tuple[str, str]
    features: tuple[str, ...]
    parameters: Mapping[str, Any]
    rows: Mapping[str, int]
    metrics: Mapping[str, MetricFigures]
    champion: int | None = None
    gain: Gain | None = None
    conclusion: str = "not judged"
    failed: tuple[str, ...] = ()


def compare_runs(
    tracking: Tracking, use_case: UseCase, names: Sequence[str] = (), *, newest: int = 5
) -> list[TrainingSummary]:
    """
    Return the trainings of these names, in their order; without names the newest experiments.

    Parameters
    ----------
    tracking
        MLflow.
    use_case
        Use case of the trainings.
    names
        MLflow runs, or runs in Airflow.
    newest
        Maximum number of experiments without names.

    Raises
    ------
    DataError
        If there is no such training, or no experiment.
    """
    runs = [
        run
        for run in tracking.search_runs(use_case.name, f"tags.`{AS_OF}` LIKE '____-%'")
        if SUPERSEDED_BY not in run.data.tags
    ]
    if names:
        selected = [_named(use_case, runs, name) for name in names]
    else:
        selected = [run for run in runs if EXPERIMENT in run.data.tags][:newest]
    if not selected:
        raise DataError(
            f"{use_case.name} has no experiments in MLflow. Trigger {use_case.name}_training with "
            "`experiment: true`, or name the runs to compare."
        )
    return [_summarise_run(tracking, use_case, run) for run in selected]


def _named(use_case: UseCase, runs: Sequence[Run], name: str) -> Run:
    """Return the newest run of this name."""
    for run in runs:
        if name in {run.info.run_id, run.data.tags.get(DAG_RUN)}:
            return run
    existing = [f"{run.info.run_id} ({run.data.tags.get(DAG_RUN)})" for run in runs[:MAX_LISTED_RUNS]]
    raise DataError(
        f"{use_case.name} has no training {name} in MLflow; the newest are {', '.join(existing) or 'none'}."
    )


def _summarise_run(tracking: Tracking, use_case: UseCase, run: Run) -> TrainingSummary:
    tags = run.data.tags
    first, _, last = tags.get("airworthy.days", "").partition("..")
    inputs: dict[str, Any] = {
        "run_id": run.info.run_id,
        "dag_run": tags.get(DAG_RUN, ""),
        "status": run.info.status,
        "is_experiment": EXPERIMENT in tags,
        "as_of": tags[AS_OF],
        "days": (first, last),
        "features": tuple(_read_tag(tags, "airworthy.features", [])),
        "parameters": _read_tag(tags, "airworthy.parameters", {}),
    }
    return TrainingSummary(**inputs, **_results(tracking, use_case, run.info.run_id))


def _results(tracking: Tracking, use_case: UseCase, run_id: str) -> dict[str, Any]:
    """Return what the evaluation and the gates found, as fields of a summary."""
    evidence_file = tracking.read_file(run_id, EVIDENCE)
    if evidence_file is None:
        return {"rows": {}, "metrics": {}}
    evidence = Evidence.model_validate_json(evidence_file)
    gates_file = tracking.read_file(run_id, gate_report.JSON)
    gates: dict[str, Any] = json.loads(gates_file) if gates_file else {}
    champion = evidence.champion
    gains = [gain for gain in champion.gains if gain.metric == use_case.metric] if champion else []
    verdicts = gates.get("verdicts", ())
    return {
        "rows": evidence.rows,
        "metrics": {
            name: MetricFigures(value, evidence.intervals.get(name), evidence.baseline.get(name))
            for name, value in evidence.metrics["test"].items()
        },
        "champion": champion.version if champion else None,
        "gain": gains[0] if gains else None,
        "conclusion": gates.get("conclusion", "not judged"),
        "failed": tuple(verdict["gate"] for verdict in verdicts if verdict["outcome"] == "fail"),
    }


def _read_tag(tags: Mapping[str, str], name: str, default: Any) -> Any:
    """Return the value of a tag in JSON; MLflow may have shortened it."""
    try:
        return json.loads(tags[name])
    except (KeyError, ValueError):
        return default
