"""Choose the parameters of a use case's estimator on days before the test days."""

from __future__ import annotations

import hashlib
import inspect
import io
import json
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from include.catalog import catalog
from include.declarations import GREATER_IS_BETTER
from include.errors import SettingsError, TrainingFailed
from include.modeling.pipeline.workspace import split_snapshot
from include.modeling.registry.registry import as_tags
from include.modeling.training.resource_usage import measure_usage
from include.modeling.tuning.executors import trial_executor
from include.modeling.tuning.study import SCORES, Study
from include.modeling.tuning.trial import TrialJob, folds
from include.modeling.tuning.trial_runs import TrialRuns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import Engine

    from include.data.snapshots.splits import Splits
    from include.declarations import Tuning, UseCase
    from include.modeling.pipeline.workspace import Workspace
    from include.modeling.registry.provenance import Provenance
    from include.modeling.tuning.executors import Ask

CHOSEN, HISTORY = "tuning.json", "tuning.png"


@dataclass(frozen=True, slots=True)
class Tuned:
    """The parameters that were chosen: their mean score over the folds, and of how many trials."""

    parameters: Mapping[str, Any]
    metric: str
    score: float
    trials: int
    failed: int


def tune(
    site: Workspace,
    build: Callable[..., Any],
    frame: pd.DataFrame,
    *,
    run_id: str,
    provenance: Provenance,
    engine: Engine,
) -> Tuned:
    """
    Return the parameters of `build` that do best; each trial is a child of the MLflow run `run_id`.

    The trials are kept in the database of `engine`: tried again, those that had ended are not measured anew.

    :raises TrainingFailed: if no trial could be measured
    :raises SettingsError: if an earlier attempt tuned on other data, code or declarations
    """
    use_case = site.use_case
    tuning = _declared(use_case)
    metric = tuning.metric or use_case.metric
    work = _work(use_case, build, split_snapshot(use_case, frame), metric)
    with site.registry.lock(f"tuning/{run_id}"), measure_usage() as usage:
        name = f"{use_case.name}/{run_id}"
        study = Study(engine, name, tuning, metric=metric, seed=use_case.training.seed)
        study.require(_inputs(use_case, provenance))
        study.enqueue_defaults(_defaults(build))
        children = TrialRuns(site.registry, use_case.name, run_id)
        children.complete(study.ended(), metric)
        with trial_executor(tuning, work, site.workdir) as ask:
            _search(study, tuning, ask, children, metric)
    tuned = _best(study, metric)
    _keep(site, run_id, study, tuned, usage.figures)
    return tuned


def _search(study: Study, tuning: Tuning, ask: Ask, children: TrialRuns, metric: str) -> None:
    """Measure batch after batch: all of a batch has ended before the next one is asked for."""
    while batch := study.batch(tuning.workers):
        began = time.monotonic()
        for number, outcome in ask(batch):
            children.complete([study.tell(number, outcome)], metric)
        study.add_elapsed(time.monotonic() - began)
        if tuning.timeout is not None and study.seconds > tuning.timeout.total_seconds():
            return


def _best(study: Study, metric: str) -> Tuned:
    ended, best = study.ended(), study.best()
    failed = [trial for trial in ended if trial.value is None]
    if best is None:
        first = failed[0].user_attrs["problem"] if failed else "none was begun"
        raise TrainingFailed(
            f"None of {len(ended)} trials could be measured, the first because: {first}. "
            "See build_model() and `tuning.parameters`."
        )
    return Tuned(dict(best.params), metric, float(best.value or 0.0), len(ended), len(failed))


def _keep(site: Workspace, run_id: str, study: Study, tuned: Tuned, usage: Mapping[str, float]) -> None:
    """Log what was chosen, and the way there as a picture."""
    figures = {"best_score": tuned.score, "trials": tuned.trials, "failed": tuned.failed} | dict(usage)
    history = [
        {"number": t.number, "score": t.value, "scores": t.user_attrs.get(SCORES)} | {"parameters": t.params}
        for t in study.ended()
    ]
    (site.workdir / CHOSEN).write_text(json.dumps(asdict(tuned) | {"history": history}, indent=1))
    (site.workdir / HISTORY).write_bytes(_draw(tuned, [each["score"] for each in history]))
    for name in (CHOSEN, HISTORY):
        site.registry.log_file(run_id, site.workdir / name)
    site.registry.log(
        run_id,
        metrics={f"tuning.{name}": float(value) for name, value in figures.items()},
        tags=as_tags({"tuning.metric": tuned.metric, "parameters": json.dumps(dict(tuned.parameters))}),
    )


def _draw(tuned: Tuned, scores: list[float | None]) -> bytes:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    series = pd.Series(scores, dtype="float64")
    best = series.cummax() if tuned.metric in GREATER_IS_BETTER else series.cummin()
    axes.plot(series.index, series, "o", markersize=4, label="trial")
    axes.plot(best.index, best.ffill(), drawstyle="steps-post", label="best so far")
    axes.set(title=f"{tuned.trials} trials, {tuned.failed} failed", xlabel="trial", ylabel=tuned.metric)
    axes.legend()
    page = io.BytesIO()
    figure.savefig(page, format="png", dpi=110, metadata={"Software": None})
    return page.getvalue()


def _work(use_case: UseCase, build: Callable[..., Any], splits: Splits, metric: str) -> TrialJob:
    rows = pd.concat([splits.train, splits.validation])
    lag = catalog().datasets[use_case.label.dataset].lag_days
    embargo = lag if use_case.split.embargo_days is None else use_case.split.embargo_days
    tuning = _declared(use_case)
    windows = folds(tuning, sorted(rows["day"].unique()), embargo_days=embargo)
    columns = ["day", *use_case.features, "target"]
    return TrialJob(use_case, metric, build, rows[columns].reset_index(drop=True), windows)


def _declared(use_case: UseCase) -> Tuning:
    if use_case.tuning is None:
        raise SettingsError(f"{use_case.name} declares no `tuning`: there is nothing to choose.")
    return use_case.tuning


def _inputs(use_case: UseCase, provenance: Provenance) -> str:
    declared = use_case.model_dump_json(include={"tuning", "training", "features", "metric", "split"})
    return hashlib.sha256(f"{provenance.digest} {declared}".encode()).hexdigest()


def _defaults(build: Callable[..., Any]) -> dict[str, Any]:
    empty = inspect.Parameter.empty
    named = inspect.signature(build).parameters
    return {name: each.default for name, each in named.items() if each.default is not empty}
