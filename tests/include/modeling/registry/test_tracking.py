"""Against a real MLflow server: what becomes of runs that are tried again, cleared, or deleted."""

from __future__ import annotations

import pytest

from include.certificates.certificate import model_digest
from include.errors import RunDeleted, ServiceUnavailable, SettingsError
from include.modeling.registry.idempotency import translate_mlflow_errors
from include.modeling.registry.tracking import REPLACES, SUPERSEDED_BY, SUPERSEDES


def tags(clears=0, **more):
    about = {"airworthy.dag": "training", "airworthy.run": "nightly", "airworthy.partition": ""}
    return about | {"airworthy.clear_number": str(clears)} | more


def test_a_cleared_run_supersedes_the_one_before_and_both_say_so(registry, use_case, client):
    old = registry.run_for(use_case, tags())
    new = registry.run_for(use_case, tags(clears=1))
    assert client.get_run(new).data.tags[SUPERSEDES] == old
    assert client.get_run(old).data.tags[SUPERSEDED_BY] == new
    assert (client.get_run(old).info.status, client.get_run(new).info.status) == ("KILLED", "RUNNING")


def test_a_retry_after_a_clear_finds_the_cleared_runs_own(registry, use_case):
    registry.run_for(use_case, tags())
    assert registry.run_for(use_case, tags(clears=2)) == registry.run_for(use_case, tags(clears=2))
    assert len(registry.runs(use_case)) == 2


def test_a_run_that_was_complete_before_it_was_cleared_stays_complete(registry, use_case, client):
    old = registry.run_for(use_case, tags())
    registry.finish(old)
    registry.run_for(use_case, tags(clears=1))
    assert client.get_run(old).info.status == "FINISHED"


def test_the_first_to_supersede_is_the_one_that_is_named(registry, use_case, client):
    first, second, third = (registry.run_for(use_case, tags(clears=n)) for n in range(3))
    named = [client.get_run(run).data.tags.get(SUPERSEDED_BY) for run in (first, second, third)]
    assert named == [second, third, None]


def test_an_attempt_from_before_the_clear_supersedes_nothing(registry, use_case, client):
    new = registry.run_for(use_case, tags(clears=1))
    late = registry.run_for(use_case, tags())
    assert SUPERSEDES not in client.get_run(late).data.tags
    assert SUPERSEDED_BY not in client.get_run(new).data.tags


def test_a_run_that_was_deleted_is_made_anew_by_the_next_try_and_says_so(registry, use_case, client):
    old = registry.run_for(use_case, tags())
    client.delete_run(old)
    new = registry.run_for(use_case, tags())
    assert client.get_run(new).data.tags[REPLACES] == old
    assert registry.run_for(use_case, tags()) == new


USES = {
    "logging": lambda registry, run_id, _: registry.log(run_id, metrics={"roc_auc": 0.7}),
    "ending": lambda registry, run_id, _: registry.finish(run_id),
    "asking for the model": lambda registry, run_id, _: registry.logged(run_id),
    "packing the model": lambda registry, run_id, folder: registry.log_model(
        run_id, folder, digest=model_digest(folder), tags={}
    ),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_run_that_is_deleted_in_the_middle_is_named_with_the_way_back(
    registry, use_case, client, packaged, use
):
    run_id = registry.run_for(use_case, tags())
    client.delete_run(run_id)
    with pytest.raises(RunDeleted, match=f"mlflow runs restore --run-id {run_id}"):
        use(registry, run_id, packaged)
    client.restore_run(run_id)
    use(registry, run_id, packaged)


def test_a_run_that_was_never_there_counts_as_deleted(registry):
    with pytest.raises(RunDeleted, match="0000"):
        registry.log("0" * 32, tags={"a": "b"})


def test_a_deleted_experiment_is_named_with_the_way_back(registry, use_case, client):
    place = registry.experiment(use_case)
    client.delete_experiment(place)
    with pytest.raises(SettingsError, match=f"restore --experiment-id {place}"):
        registry.run_for(use_case, tags())


def test_an_experiment_is_made_once_and_carries_its_tags(registry, use_case, client):
    place = registry.experiment(use_case, {"team": "ground"})
    assert registry.experiment(use_case, {"team": "air"}) == place
    assert client.get_experiment(place).tags["team"] == "air"


def test_no_experiment_has_no_runs(registry, use_case):
    assert registry.runs(use_case) == []


def answered(status):
    import requests

    response = requests.Response()
    response.status_code = status
    return requests.HTTPError(f"{status}", response=response)


def test_an_artifact_store_that_breaks_is_an_accident_and_one_that_refuses_is_none():
    with pytest.raises(ServiceUnavailable, match="did not do it"), translate_mlflow_errors("http://mlflow"):
        raise answered(503)
    with pytest.raises(IOError, match="403"), translate_mlflow_errors("http://mlflow"):
        raise answered(403)
