"""Search for the best parameters of a use case's estimator, on days before the test days."""

from __future__ import annotations

import hashlib
import inspect
import json
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from optuna.trial import TrialState

from include.data.lake.partition_columns import DAY
from include.data.snapshots.splits import entity_positions
from include.data.snapshots.target_encoding import TARGET
from include.declarations import is_greater_better
from include.errors import SettingsError, TrainingFailed
from include.modeling.evaluation.figures import render_png
from include.modeling.pipeline.workspace import split_snapshot
from include.modeling.registry.registry import as_tags
from include.modeling.training.resource_usage import measure_usage
from include.modeling.tuning.executors import trial_executor
from include.modeling.tuning.pruning import require_rounds, run_batch
from include.modeling.tuning.study import PROBLEM, SCORES, Study
from include.modeling.tuning.trial import FOLD, TrialJob, random_folds, split_folds
from include.modeling.tuning.trial_runs import TrialRuns
from include.storage.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import Engine

    from include.declarations import Tuning, UseCase
    from include.declarations.specification import Specification
    from include.modeling.pipeline.workspace import Workspace
    from include.modeling.registry.provenance import Provenance
    from include.modeling.tuning.executors import Executor

RESULT_FILE = "tuning.json"
HISTORY_FILE = "tuning.png"


@dataclass(frozen=True, slots=True)
class TuningResult:
    """
    Result of a search.

    Parameters
    ----------
    parameters
        Parameters of the best trial.
    metric
        Metric that was optimized.
    score
        Mean metric of the best trial over its folds.
    trials, failed, pruned
        Number of ended trials, and how many of them failed or were ended early.
    """

    parameters: Mapping[str, Any]
    metric: str
    score: float
    trials: int
    failed: int
    pruned: int = 0


def tune(
    site: Workspace,
    build: Callable[..., Any],
    frame: pd.DataFrame,
    *,
    run_id: str,
    provenance: Provenance,
    engine: Engine,
) -> TuningResult:
    """
    Search for the best parameters of `build`, and log each trial as a child of an MLflow run.

    Trials are stored in the database: a later attempt does not repeat those that have ended.

    Parameters
    ----------
    build
        Function that returns an estimator for parameters.
    frame
        Rows of the snapshot; its test days are not used.
    run_id
        MLflow run of the training.
    engine
        Database of the trials.

    Raises
    ------
    TrainingFailed
        If no trial could be measured.
    ConflictError
        If an earlier attempt used other data, code or declarations.
    SettingsError
        If the use case declares no tuning.
    """
    use_case = site.use_case
    tuning = _require_tuning(use_case)
    metric = tuning.metric or use_case.metric
    job = _job(site.specification, build, frame, metric)
    with site.registry.lock(f"tuning/{run_id}"), measure_usage() as usage:
        name = f"{use_case.name}/{run_id}"
        study = Study(engine, name, tuning, metric=metric, seed=use_case.training.seed)
        study.require_inputs(_inputs_digest(use_case, provenance))
        study.enqueue_defaults(_defaults(build))
        runs = TrialRuns(site.registry, use_case.name, run_id)
        runs.log_trials(study.ended_trials(), metric)
        with trial_executor(tuning, job, site.workdir) as execute:
            _run_trials(study, tuning, execute, runs, metric)
    result = _best_result(study, metric)
    _log_study(site, run_id, study, result, usage.figures)
    return result


def _run_trials(study: Study, tuning: Tuning, execute: Executor, runs: TrialRuns, metric: str) -> None:
    """Run one batch after the other; a batch is chosen only after all trials of the one before have ended."""
    progress = Progress("tuning:", tuning.trials, unit="trials")
    progress.advance(len(study.ended_trials()))
    while batch := study.next_batch(tuning.workers):
        start = time.monotonic()
        for trial in run_batch(study, tuning, execute, batch):
            runs.log_trials([trial], metric)
            progress.advance()
        study.add_elapsed(time.monotonic() - start)
        if tuning.timeout is not None and study.seconds > tuning.timeout.total_seconds():
            return


def _best_result(study: Study, metric: str) -> TuningResult:
    ended = study.ended_trials()
    best = study.best_trial()
    failed = [trial for trial in ended if trial.state == TrialState.FAIL]
    n_pruned = sum(trial.state == TrialState.PRUNED for trial in ended)
    if best is None:
        first_problem = failed[0].user_attrs[PROBLEM] if failed else "none was started"
        raise TrainingFailed(
            f"None of {len(ended)} trials could be measured, the first because: {first_problem}. "
            "Check build_model() and `tuning.parameters`."
        )
    score = float(best.value or 0.0)
    return TuningResult(dict(best.params), metric, score, len(ended), len(failed), n_pruned)


def _log_study(
    site: Workspace, run_id: str, study: Study, result: TuningResult, usage: Mapping[str, float]
) -> None:
    """Log the chosen parameters and the history of the search."""
    trials = study.ended_trials()
    history = [
        {
            "number": trial.number,
            "score": trial.value,
            "scores": trial.user_attrs.get(SCORES),
            "parameters": trial.params,
            "pruned": trial.state == TrialState.PRUNED,
        }
        for trial in trials
    ]
    # The value of a pruned trial is that of its first folds.
    scores = [trial.value if trial.state == TrialState.COMPLETE else None for trial in trials]
    content = asdict(result) | {"history": history}
    (site.workdir / RESULT_FILE).write_text(json.dumps(content, indent=1))
    (site.workdir / HISTORY_FILE).write_bytes(_draw_history(result, scores))
    for name in (RESULT_FILE, HISTORY_FILE):
        site.registry.log_file(run_id, site.workdir / name)
    figures = {"best_score": result.score, "trials": result.trials, "failed": result.failed}
    figures |= {"pruned": result.pruned, **usage}
    site.registry.log(
        run_id,
        metrics={f"tuning.{name}": float(value) for name, value in figures.items()},
        tags=as_tags({"tuning.metric": result.metric, "parameters": json.dumps(dict(result.parameters))}),
    )


def _draw_history(result: TuningResult, scores: list[float | None]) -> bytes:
    # optuna.visualization.matplotlib would change the style of all figures of the process, and is
    # experimental.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    series = pd.Series(scores, dtype="float64")
    best = series.cummax() if is_greater_better(result.metric) else series.cummin()
    axes.plot(series.index, series, "o", markersize=4, label="trial")
    axes.plot(best.index, best.ffill(), drawstyle="steps-post", label="best so far")
    title = f"{result.trials} trials, {result.failed} failed, {result.pruned} ended early"
    axes.set(title=title, xlabel="trial", ylabel=result.metric)
    axes.legend()
    return render_png(figure)


def _job(
    specification: Specification, build: Callable[..., Any], frame: pd.DataFrame, metric: str
) -> TrialJob:
    use_case = specification.use_case
    tuning = _require_tuning(use_case)
    require_rounds(tuning, build)
    # The window of training rows is that of each fold.
    splits = split_snapshot(specification, frame, all_days=True)
    rows = pd.concat([splits.train, splits.validation])
    columns = [*use_case.features, TARGET]
    if use_case.split.by == "entity":
        rows = rows.assign(**{FOLD: _random_groups(specification, rows, tuning.folds)})[[FOLD, *columns]]
        folds = random_folds(tuning.folds)
        return TrialJob(use_case, metric, build, rows.reset_index(drop=True), folds, unit=FOLD)
    embargo_days = use_case.split.embargo_days
    if embargo_days is None:
        embargo_days = specification.availability.embargo_days
    folds = split_folds(
        tuning,
        sorted(rows[DAY].unique()),
        embargo_days=embargo_days,
        last_days=use_case.training.last_days,
    )
    return TrialJob(use_case, metric, build, rows[[DAY, *columns]].reset_index(drop=True), folds)


def _random_groups(specification: Specification, rows: pd.DataFrame, count: int) -> pd.Series:
    """Return the group of each row, from the random positions of entities that are no test rows."""
    split = specification.use_case.split
    positions = entity_positions(rows, specification.entity, split.seed)
    share = (positions - split.test_share) / (1 - split.test_share)
    numbers = np.clip((share * count).astype(int), 0, count - 1)
    return pd.Series(numbers, rows.index).astype(str)


def _require_tuning(use_case: UseCase) -> Tuning:
    if use_case.tuning is None:
        raise SettingsError(f"{use_case.name} declares no `tuning`. Declare it, or do not tune.")
    return use_case.tuning


def _inputs_digest(use_case: UseCase, provenance: Provenance) -> str:
    declared = use_case.model_dump_json(include={"tuning", "training", "features", "metric", "split"})
    return hashlib.sha256(f"{provenance.digest} {declared}".encode()).hexdigest()


def _defaults(build: Callable[..., Any]) -> dict[str, Any]:
    parameters = inspect.signature(build).parameters.values()
    return {
        parameter.name: parameter.default
        for parameter in parameters
        if parameter.default is not inspect.Parameter.empty
    }
