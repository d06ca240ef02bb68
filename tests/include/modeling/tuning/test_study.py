from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import inspect

from include.database.tables import connect
from include.declarations import Categorical, Integer, Pruning, Real, Tuning
from include.errors import ConflictError, ServiceUnavailable
from include.modeling.tuning.study import SCHEMA, Study
from include.modeling.tuning.trial import TrialResult

TUNING = Tuning(
    parameters={
        "rate": Real(low=0.01, high=1, log=True),
        "leaves": Integer(low=3, high=60),
        "kind": Categorical(values=("a", "b", None)),
    },
    trials=9,
)

# The sampler uses the results of earlier trials from the eleventh trial on.
LONG = TUNING.model_copy(update={"trials": 14})


@pytest.fixture
def study(database):
    def begin(name="s", tuning=TUNING, metric="log_loss", seed=0):
        return Study(database, name, tuning, metric=metric, seed=seed)

    return begin


def result_of(parameters):
    score = abs(parameters["rate"] - 0.2) + abs(parameters["leaves"] - 20) / 100
    return TrialResult((score, score + 0.02), 0.1)


def run(study, count, *, until=100):
    """Run batches of `count` until `until` trials have ended; return the parameters of all trials."""
    while len(study.ended_trials()) < until and (batch := study.next_batch(count)):
        for number, parameters in batch:
            study.record_result(number, result_of(parameters))
    return [(trial.number, trial.params) for trial in study.ended_trials()]


def test_a_study_ends_after_as_many_trials_as_declared(study):
    new = study()
    run(new, 3)
    assert len(new.ended_trials()) == 9
    assert new.next_batch(3) == []
    best = min(new.ended_trials(), key=lambda trial: trial.value)
    assert new.best_trial().number == best.number
    assert new.best_trial().user_attrs["scores"] == best.user_attrs["scores"]


def test_the_best_trial_has_the_highest_score_of_a_gain(study):
    new = study(metric="roc_auc")
    for number, _ in new.next_batch(3):
        new.record_result(number, TrialResult((number / 10,), 0.1))
    assert new.best_trial().number == 2


def test_the_first_of_equal_trials_is_the_best(study):
    new = study()
    for number, _ in reversed(new.next_batch(3)):
        new.record_result(number, TrialResult((0.5,), 0.1))
    assert new.best_trial().number == 0


def test_the_seed_determines_the_parameters(study):
    first = run(study("a", seed=1), 3, until=5)
    assert run(study("b", seed=1), 3, until=5) == first
    assert run(study("c", seed=2), 3, until=5) != first


def test_an_interrupted_study_continues_with_the_same_parameters(study):
    def record(trial):
        number, parameters = trial
        study("interrupted", LONG).record_result(number, result_of(parameters))

    uninterrupted = run(study("uninterrupted", LONG), 3)
    run(study("interrupted", LONG), 3, until=9)
    batch = study("interrupted", LONG).next_batch(3)
    record(batch[1])
    remaining = study("interrupted", LONG).next_batch(3)
    assert remaining == [batch[0], batch[2]]
    for trial in remaining:
        record(trial)
    assert run(study("interrupted", LONG), 3) == uninterrupted


def test_a_failed_trial_counts_and_has_a_problem(study):
    new = study()
    ((number, _),) = new.next_batch(1)
    new.record_result(number, TrialResult((), 0.1, "ValueError: no"))
    assert [trial.user_attrs["problem"] for trial in new.ended_trials()] == ["ValueError: no"]
    assert new.best_trial() is None
    run(new, 3)
    assert len(new.ended_trials()) == 9


PRUNED = TUNING.model_copy(update={"pruning": Pruning(startup_trials=2)})


def test_trial_worse_than_the_median_is_pruned(study):
    new = study(tuning=PRUNED)
    verdicts = []
    for score in (0.5, 0.6, 0.7, 0.4):
        ((number, _),) = new.next_batch(1)
        new.report_score(number, 0, score)
        verdicts.append(new.should_prune(number))
        if verdicts[-1]:
            new.prune(number, TrialResult((score,), 0.1))
        else:
            new.record_result(number, TrialResult((score, score), 0.1))
    assert verdicts == [False, False, True, False]
    assert len(new.ended_trials()) == 4
    assert new.best_trial().number == 3


def test_pruned_trial_is_never_the_best(study):
    new = study(tuning=PRUNED)
    for score in (0.5, 0.1):
        ((number, _),) = new.next_batch(1)
        new.report_score(number, 0, score)
        if number:
            new.prune(number, TrialResult((score,), 0.1))
        else:
            new.record_result(number, TrialResult((score,), 0.1))
    assert new.best_trial().number == 0


def test_no_trial_is_pruned_without_pruning(study):
    new = study()
    for score in (0.5, 0.6, 0.7, 9.0):
        ((number, _),) = new.next_batch(1)
        new.report_score(number, 0, score)
        assert not new.should_prune(number)
        new.record_result(number, TrialResult((score,), 0.1))


def test_defaults_are_the_first_trial(study):
    new = study()
    new.enqueue_defaults({"rate": 0.1, "leaves": 31, "kind": None, "unrelated": 3})
    assert new.next_batch(2)[0] == (0, {"rate": 0.1, "leaves": 31, "kind": None})


@pytest.mark.parametrize("defaults", [{"rate": 5.0, "leaves": 31, "kind": "a"}, {"rate": 0.1}])
def test_defaults_outside_of_the_search_space_are_ignored(study, defaults):
    new = study()
    new.enqueue_defaults(defaults)
    assert new.next_batch(1)[0][1] != defaults


def test_trials_with_other_inputs_are_refused(study):
    study().require_inputs("first")
    study().require_inputs("first")
    with pytest.raises(ConflictError, match="other data, code or declarations"):
        study().require_inputs("second")


def test_seconds_are_added_up_over_attempts(study):
    study().add_elapsed(3.0)
    study().add_elapsed(4.0)
    assert study().seconds == 7.0


def test_the_tables_are_in_their_own_schema(study, database):
    before = set(inspect(database).get_table_names())
    study()
    assert set(inspect(database).get_table_names()) == before
    assert {"studies", "trials", "alembic_version"} <= set(inspect(database).get_table_names(schema=SCHEMA))


def test_concurrent_first_studies_create_the_tables_once(database):
    with ThreadPoolExecutor(4) as pool:
        studies = list(pool.map(lambda name: Study(database, name, TUNING, metric="rmse", seed=0), "abcd"))
    assert [study.ended_trials() for study in studies] == [[], [], [], []]


def test_an_unreachable_database_is_a_transient_error(free_port):
    unreachable = connect(f"postgresql+psycopg2://nobody@127.0.0.1:{free_port}/nothing")
    with pytest.raises(ServiceUnavailable, match="Try again"):
        Study(unreachable, "s", TUNING, metric="rmse", seed=0)
