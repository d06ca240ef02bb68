"""Optuna studies in PostgreSQL, which later attempts of a tuning continue."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import StorageInternalError
from optuna.pruners import BasePruner, NopPruner, PercentilePruner
from optuna.samplers import TPESampler
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from include.database.locks import advisory_lock
from include.declarations import Categorical, Integer, is_greater_better
from include.errors import ConflictError, ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from optuna.trial import FrozenTrial
    from sqlalchemy import Engine

    from include.declarations import AnyParameter, Tuning
    from include.modeling.tuning.trial import TrialResult

    NumberedParameters = tuple[int, Mapping[str, Any]]

SCHEMA = "tuning"
INPUTS = "inputs"
PROBLEM = "problem"
SCORES = "scores"
# Step of an intermediate score after the first rounds of a fit; that of a fold is its number, from 1.
FIRST_ROUNDS = 0
SECONDS = "seconds"

log = logging.getLogger(__name__)


class Study:
    """
    Trials of one tuning, ordered by their numbers.

    Parameters
    ----------
    engine
        Database of the trials.
    name
        Name of the study; an existing study is continued.
    tuning
        Declared parameters and number of trials.
    metric
        Metric that is optimized.
    seed
        Seed of the sampler.

    Raises
    ------
    ServiceUnavailable
        If the database does not answer.
    """

    def __init__(self, engine: Engine, name: str, tuning: Tuning, *, metric: str, seed: int) -> None:
        self._tuning = tuning
        self._seed = seed
        self._maximize = is_greater_better(metric)
        self._space = {name: _distribution(parameter) for name, parameter in tuning.parameters.items()}
        self._pruner = _pruner(tuning)
        direction = StudyDirection.MAXIMIZE if self._maximize else StudyDirection.MINIMIZE
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            self._storage = _open_storage(engine)
            self._study = optuna.create_study(
                storage=self._storage, study_name=name, direction=direction, load_if_exists=True
            )
        except (OperationalError, StorageInternalError) as error:
            raise ServiceUnavailable(
                f"The database of the trials does not answer: {error}. Try again."
            ) from error

    def require_inputs(self, inputs: str) -> None:
        """
        Record the digest of the inputs at the first call, and require the same one later.

        Raises
        ------
        ConflictError
            If earlier trials had other inputs.
        """
        recorded = self._study.user_attrs.get(INPUTS)
        if recorded is None:
            self._study.set_user_attr(INPUTS, inputs)
        elif recorded != inputs:
            raise ConflictError(
                f"{self._study.study_name} has trials with other data, code or declarations. "
                "Clear this task for a run of its own, or trigger a new DAG run."
            )

    def enqueue_defaults(self, defaults: Mapping[str, Any]) -> None:
        """Make `defaults` the first trial if they are in the search space and no trial exists."""
        has_trials = bool(self._study.get_trials(deepcopy=False))
        is_complete = set(self._space) <= set(defaults)
        if has_trials or not is_complete:
            return
        if all(_allows(parameter, defaults[name]) for name, parameter in self._tuning.parameters.items()):
            self._study.enqueue_trial({name: defaults[name] for name in self._space})

    def next_batch(self, size: int) -> list[NumberedParameters]:
        """
        Return the parameters of up to `size` trials to run, with their numbers.

        Trials that a killed attempt did not finish are returned first. New parameters depend on the ended
        trials and on the seed only.
        """
        unfinished = self._unfinished_trials()
        if unfinished:
            return unfinished
        n_ended = len(self.ended_trials())
        batch: list[NumberedParameters] = []
        for position in range(min(size - n_ended % size, self._tuning.trials - n_ended)):
            self._study.sampler = TPESampler(seed=self._seed + n_ended + position)
            trial = self._study.ask(self._space)
            batch.append((trial.number, trial.params))
        return batch

    def record_result(self, number: int, result: TrialResult) -> FrozenTrial:
        """Store the result of the trial `number`."""
        trial_id = self._trial_id(number)
        if result.problem:
            self._storage.set_trial_user_attr(trial_id, PROBLEM, result.problem)
            return self._study.tell(number, state=TrialState.FAIL)
        self._storage.set_trial_user_attr(trial_id, SCORES, list(result.scores))
        return self._study.tell(number, result.score)

    @property
    def first_rounds(self) -> float | None:
        """Share of the rounds after which trials are compared on their first fold; None: they are not."""
        pruning = self._tuning.pruning
        return None if pruning is None or pruning.warmup_folds else pruning.first_rounds

    def report_score(self, number: int, step: int, score: float) -> None:
        """Store the `score` of a trial after its first rounds, or the mean over its first `step` folds."""
        self._storage.set_trial_intermediate_value(self._trial_id(number), step, score)

    def should_prune(self, number: int) -> bool:
        """Return whether the trial `number` is bad so far, compared with measured trials."""
        trial = self._storage.get_trial(self._trial_id(number))
        return self._pruner.prune(self._study, trial)

    def prune(self, number: int, result: TrialResult) -> FrozenTrial:
        """End the trial `number` with the result of its folds so far."""
        self._storage.set_trial_user_attr(self._trial_id(number), SCORES, list(result.scores))
        return self._study.tell(number, state=TrialState.PRUNED)

    def ended_trials(self) -> Sequence[FrozenTrial]:
        """Return the trials that were measured, pruned, or failed with a recorded problem."""
        return [trial for trial in self._study.get_trials(deepcopy=False) if _has_result(trial)]

    def best_trial(self) -> FrozenTrial | None:
        """Return the trial with the best score, the first of equal ones; None if none was measured."""
        measured = [trial for trial in self.ended_trials() if trial.state == TrialState.COMPLETE]
        return min(measured, key=lambda trial: (self._loss(trial), trial.number), default=None)

    @property
    def seconds(self) -> float:
        """Seconds that all attempts together have taken."""
        return float(self._study.user_attrs.get(SECONDS, 0.0))

    def add_elapsed(self, seconds: float) -> None:
        """Add the seconds of this attempt to those of all attempts."""
        self._study.set_user_attr(SECONDS, self.seconds + seconds)

    def _trial_id(self, number: int) -> int:
        study_id = self._storage.get_study_id_from_name(self._study.study_name)
        return self._storage.get_trial_id_from_study_id_trial_number(study_id, number)

    def _loss(self, trial: FrozenTrial) -> float:
        score = float(trial.value or 0.0)
        return -score if self._maximize else score

    def _unfinished_trials(self) -> list[NumberedParameters]:
        unfinished: list[NumberedParameters] = []
        for trial in self._study.get_trials(states=(TrialState.RUNNING,)):
            if set(trial.params) == set(self._space):
                unfinished.append((trial.number, trial.params))
            else:
                # The attempt was killed while it chose the parameters.
                self._study.tell(trial.number, state=TrialState.FAIL)
        return unfinished


def _has_result(trial: FrozenTrial) -> bool:
    if trial.state == TrialState.FAIL:
        return PROBLEM in trial.user_attrs
    return trial.state in {TrialState.COMPLETE, TrialState.PRUNED}


def _pruner(tuning: Tuning) -> BasePruner:
    pruning = tuning.pruning
    if pruning is None:
        return NopPruner()
    return PercentilePruner(
        pruning.percentile,
        n_startup_trials=pruning.startup_trials,
        n_warmup_steps=pruning.warmup_folds + 1 if pruning.warmup_folds else 0,
    )


def _open_storage(engine: Engine) -> RDBStorage:
    """Return Optuna's storage in its own schema; one process at a time creates or upgrades the tables."""
    url = engine.url.render_as_string(hide_password=False)
    with advisory_lock(engine, f"{SCHEMA}/schema"):
        with engine.begin() as connection:
            connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
        engine_options = {
            "connect_args": {"options": f"-csearch_path={SCHEMA}"},
            "pool_pre_ping": True,
            "pool_size": 2,
            "hide_parameters": True,
        }
        storage = RDBStorage(url, engine_kwargs=engine_options, skip_compatibility_check=True)
        if storage.get_current_version() != storage.get_head_version():
            log.info("Upgrading Optuna's tables to version %s.", storage.get_head_version())
            storage.upgrade()
    return storage


def _distribution(parameter: AnyParameter) -> BaseDistribution:
    if isinstance(parameter, Categorical):
        return CategoricalDistribution(parameter.values)
    if isinstance(parameter, Integer):
        return IntDistribution(parameter.low, parameter.high, log=parameter.log)
    return FloatDistribution(parameter.low, parameter.high, log=parameter.log)


def _allows(parameter: AnyParameter, value: Any) -> bool:
    if isinstance(parameter, Categorical):
        return value in parameter.values
    return isinstance(value, (int, float)) and parameter.low <= value <= parameter.high
