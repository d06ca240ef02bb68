"""Optuna's studies in PostgreSQL: what was tried survives whoever tried it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import StorageInternalError
from optuna.samplers import TPESampler
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from include.database.locks import advisory_lock
from include.declarations import GREATER_IS_BETTER, Categorical, Integer
from include.errors import ServiceUnavailable, SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from optuna.trial import FrozenTrial
    from sqlalchemy import Engine

    from include.declarations import AnyParameter, Tuning
    from include.modeling.tuning.trial import TrialResult

SCHEMA = "tuning"
INPUTS, PROBLEM, SCORES, SPENT = "inputs", "problem", "scores", "seconds"


class Study:
    """The trials of one training, in the order of their numbers."""

    def __init__(self, engine: Engine, name: str, tuning: Tuning, *, metric: str, seed: int) -> None:
        self._tuning, self._seed = tuning, seed
        self._higher = metric in GREATER_IS_BETTER
        self._space = {name: _distribution(each) for name, each in tuning.parameters.items()}
        direction = StudyDirection.MAXIMIZE if self._higher else StudyDirection.MINIMIZE
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            self._storage = _storage(engine)
            self._study = optuna.create_study(
                storage=self._storage, study_name=name, direction=direction, load_if_exists=True
            )
        except (OperationalError, StorageInternalError) as error:
            raise ServiceUnavailable(f"The database of the trials is away: {error}. Try again.") from error

    def require(self, inputs: str) -> None:
        """
        Note what the trials are made of, once.

        :raises SettingsError: if earlier trials were made of something else
        """
        known = self._study.user_attrs.get(INPUTS)
        if known is None:
            self._study.set_user_attr(INPUTS, inputs)
        elif known != inputs:
            raise SettingsError(
                f"{self._study.study_name} has trials already, of other data, code or declarations. "
                "Clear this task for a run of its own, or trigger a new DAG run."
            )

    def enqueue_defaults(self, defaults: Mapping[str, Any]) -> None:
        """Have `defaults` tried first, if they lie within what may be chosen."""
        begun = bool(self._study.get_trials(deepcopy=False))
        possible = set(self._space) <= set(defaults) and all(
            _allows(each, defaults[name]) for name, each in self._tuning.parameters.items()
        )
        if possible and not begun:
            self._study.enqueue_trial({name: defaults[name] for name in self._space})

    def batch(self, count: int) -> list[tuple[int, Mapping[str, Any]]]:
        """
        Return up to `count` numbered parameters to measure, or what a killed attempt left unmeasured.

        What is asked depends on the trials that have ended and on the seed only.
        """
        if left := self._left_behind():
            return left
        ended = len(self.ended())
        asked: list[tuple[int, Mapping[str, Any]]] = []
        for place in range(min(count - ended % count, self._tuning.trials - ended)):
            self._study.sampler = TPESampler(seed=self._seed + ended + place)
            trial = self._study.ask(self._space)
            asked.append((trial.number, trial.params))
        return asked

    def tell(self, number: int, outcome: TrialResult) -> FrozenTrial:
        """Keep how a trial ended."""
        study = self._storage.get_study_id_from_name(self._study.study_name)
        trial = self._storage.get_trial_id_from_study_id_trial_number(study, number)
        if outcome.problem:
            self._storage.set_trial_user_attr(trial, PROBLEM, outcome.problem)
            return self._study.tell(number, state=TrialState.FAIL)
        self._storage.set_trial_user_attr(trial, SCORES, list(outcome.scores))
        return self._study.tell(number, outcome.score)

    def ended(self) -> Sequence[FrozenTrial]:
        """Return the trials that were measured, or failed by themselves."""
        return [
            trial
            for trial in self._study.get_trials(deepcopy=False)
            if trial.state == TrialState.COMPLETE
            or (trial.state == TrialState.FAIL and PROBLEM in trial.user_attrs)
        ]

    def best(self) -> FrozenTrial | None:
        """Return the best trial, of equals the first; None if none could be measured."""
        measured = [trial for trial in self.ended() if trial.value is not None]
        return min(measured, key=lambda trial: (self._loss(trial), trial.number), default=None)

    @property
    def seconds(self) -> float:
        """How long all attempts together have been at it."""
        return float(self._study.user_attrs.get(SPENT, 0.0))

    def add_elapsed(self, seconds: float) -> None:
        """Add to `seconds`."""
        self._study.set_user_attr(SPENT, self.seconds + seconds)

    def _loss(self, trial: FrozenTrial) -> float:
        value = float(trial.value or 0.0)
        return -value if self._higher else value

    def _left_behind(self) -> list[tuple[int, Mapping[str, Any]]]:
        left: list[tuple[int, Mapping[str, Any]]] = []
        for trial in self._study.get_trials(states=(TrialState.RUNNING,)):
            if set(trial.params) == set(self._space):
                left.append((trial.number, trial.params))
            else:  # killed while it was asked for
                self._study.tell(trial.number, state=TrialState.FAIL)
        return left


def _storage(engine: Engine) -> RDBStorage:
    """Return the storage in a schema of its own; Optuna makes its tables there, one process at a time."""
    url = engine.url.render_as_string(hide_password=False)
    with advisory_lock(engine, f"{SCHEMA}/schema"):
        with engine.begin() as connection:
            connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
        here = {"options": f"-csearch_path={SCHEMA}"}
        options = {"connect_args": here, "pool_pre_ping": True, "pool_size": 2, "hide_parameters": True}
        storage = RDBStorage(url, engine_kwargs=options, skip_compatibility_check=True)
        if storage.get_current_version() != storage.get_head_version():
            logging.getLogger(__name__).info("Optuna's tables are brought to %s", storage.get_head_version())
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
