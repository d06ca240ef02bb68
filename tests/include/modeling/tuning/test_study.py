from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import inspect

from include.database.tables import connect
from include.declarations import Categorical, Integer, Real, Tuning
from include.errors import ServiceUnavailable, SettingsError
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

LONG = TUNING.model_copy(update={"trials": 14})  # from the eleventh on they follow those before


@pytest.fixture
def study(database):
    def begin(name="s", tuning=TUNING, metric="log_loss", seed=0):
        return Study(database, name, tuning, metric=metric, seed=seed)

    return begin


def outcome(parameters):
    score = abs(parameters["rate"] - 0.2) + abs(parameters["leaves"] - 20) / 100
    return TrialResult((score, score + 0.02), 0.1)


def run(study, count, *, until=100):
    """Measure batches of `count` until so many trials have ended."""
    while len(study.ended()) < until and (batch := study.batch(count)):
        for number, parameters in batch:
            study.tell(number, outcome(parameters))
    return [(trial.number, trial.params) for trial in study.ended()]


def test_a_study_ends_after_as_many_trials_as_declared(study):
    found = study()
    run(found, 3)
    assert len(found.ended()) == 9
    assert found.batch(3) == []
    best = min(found.ended(), key=lambda trial: trial.value)
    assert (found.best().number, found.best().user_attrs["scores"]) == (
        best.number,
        best.user_attrs["scores"],
    )


def test_the_best_of_a_metric_to_maximise_is_the_highest(study):
    found = study(metric="roc_auc")
    for number, _ in found.batch(3):
        found.tell(number, TrialResult((number / 10,), 0.1))
    assert found.best().number == 2


def test_of_equals_the_first_is_the_best(study):
    found = study()
    for number, _ in reversed(found.batch(3)):
        found.tell(number, TrialResult((0.5,), 0.1))
    assert found.best().number == 0


def test_the_same_seed_asks_for_the_same_and_another_for_something_else(study):
    one, two, other = (
        run(study(name, seed=seed), 3, until=5) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert one == two
    assert one != other


def test_a_study_that_was_left_goes_on_as_if_nothing_had_happened(study):
    whole = run(study("whole", LONG), 3)
    run(study("left", LONG), 3, until=9)
    left = study("left", LONG).batch(3)
    study("left", LONG).tell(*_told(left[1]))
    again = study("left", LONG).batch(3)
    assert again == [left[0], left[2]]
    for trial in again:
        study("left", LONG).tell(*_told(trial))
    assert run(study("left", LONG), 3) == whole


def _told(trial):
    number, parameters = trial
    return number, outcome(parameters)


def test_a_trial_that_fails_counts_and_says_why(study):
    found = study()
    ((number, _),) = found.batch(1)
    found.tell(number, TrialResult((), 0.1, "ValueError: no"))
    assert [trial.user_attrs["problem"] for trial in found.ended()] == ["ValueError: no"]
    assert found.best() is None
    run(found, 3)
    assert len(found.ended()) == 9


def test_defaults_are_tried_first(study):
    found = study()
    found.suggest({"rate": 0.1, "leaves": 31, "kind": None, "beside": 3})
    assert found.batch(2)[0] == (0, {"rate": 0.1, "leaves": 31, "kind": None})


@pytest.mark.parametrize("defaults", [{"rate": 5.0, "leaves": 31, "kind": "a"}, {"rate": 0.1}])
def test_defaults_that_may_not_be_chosen_are_not_tried(study, defaults):
    found = study()
    found.suggest(defaults)
    assert found.batch(1)[0][1] != defaults


def test_trials_of_other_inputs_are_not_mixed(study):
    study().require("one")
    study().require("one")
    with pytest.raises(SettingsError, match="other data, code or declarations"):
        study().require("two")


def test_time_adds_up_over_attempts(study):
    study().spend(3.0)
    study().spend(4.0)
    assert study().seconds == 7.0


def test_the_tables_have_a_schema_of_their_own(study, database):
    before = set(inspect(database).get_table_names())
    study()
    assert set(inspect(database).get_table_names()) == before
    assert {"studies", "trials", "alembic_version"} <= set(inspect(database).get_table_names(schema=SCHEMA))


def test_two_that_come_first_at_once_make_the_tables_once(database):
    with ThreadPoolExecutor(4) as pool:
        begun = list(pool.map(lambda name: Study(database, name, TUNING, metric="rmse", seed=0), "abcd"))
    assert [study.ended() for study in begun] == [[], [], [], []]


def test_a_database_that_is_away_is_an_accident(free_port):
    away = connect(f"postgresql+psycopg2://nobody@127.0.0.1:{free_port}/nothing")
    with pytest.raises(ServiceUnavailable, match="Try again"):
        Study(away, "s", TUNING, metric="rmse", seed=0)
