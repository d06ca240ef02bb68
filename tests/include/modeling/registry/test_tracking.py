"""Runs that are retried, cleared or deleted, with a real MLflow server."""

from __future__ import annotations

import pytest

from include.certificates.certificate import model_digest
from include.errors import RunDeleted, ServiceUnavailable, SettingsError
from include.modeling.registry.idempotency import translate_mlflow_errors
from include.modeling.registry.run_keys import REPLACES, SUPERSEDED_BY, SUPERSEDES


def tags(clears=0, **more):
    identity = {"airworthy.dag": "training", "airworthy.run": "nightly", "airworthy.partition": ""}
    return identity | {"airworthy.clear_number": str(clears)} | more


def test_a_cleared_run_supersedes_the_earlier_one(registry, use_case, client):
    old = registry.run_for(use_case, tags())
    new = registry.run_for(use_case, tags(clears=1))
    assert client.get_run(new).data.tags[SUPERSEDES] == old
    assert client.get_run(old).data.tags[SUPERSEDED_BY] == new
    assert (client.get_run(old).info.status, client.get_run(new).info.status) == ("KILLED", "RUNNING")


def test_a_retry_after_a_clear_finds_the_same_run(registry, use_case):
    registry.run_for(use_case, tags())
    assert registry.run_for(use_case, tags(clears=2)) == registry.run_for(use_case, tags(clears=2))
    assert len(registry.search_runs(use_case)) == 2


def test_a_finished_run_that_is_cleared_stays_finished(registry, use_case, client):
    old = registry.run_for(use_case, tags())
    registry.finish(old)
    registry.run_for(use_case, tags(clears=1))
    assert client.get_run(old).info.status == "FINISHED"


def test_a_superseded_run_names_its_first_successor(registry, use_case, client):
    first, second, third = (registry.run_for(use_case, tags(clears=n)) for n in range(3))
    named = [client.get_run(run).data.tags.get(SUPERSEDED_BY) for run in (first, second, third)]
    assert named == [second, third, None]


def test_a_late_attempt_from_before_a_clear_supersedes_nothing(registry, use_case, client):
    new = registry.run_for(use_case, tags(clears=1))
    late = registry.run_for(use_case, tags())
    assert SUPERSEDES not in client.get_run(late).data.tags
    assert SUPERSEDED_BY not in client.get_run(new).data.tags


def test_a_deleted_run_is_replaced_by_the_next_attempt(registry, use_case, client):
    old = registry.run_for(use_case, tags())
    client.delete_run(old)
    new = registry.run_for(use_case, tags())
    assert client.get_run(new).data.tags[REPLACES] == old
    assert registry.run_for(use_case, tags()) == new


USES = {
    "logging": lambda registry, run_id, _: registry.log(run_id, metrics={"roc_auc": 0.7}),
    "ending": lambda registry, run_id, _: registry.finish(run_id),
    "reading the model": lambda registry, run_id, _: registry.logged_model(run_id),
    "logging the model": lambda registry, run_id, folder: registry.log_model(
        run_id, folder, digest=model_digest(folder), tags={}
    ),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_using_a_deleted_run_names_the_remedy(registry, use_case, client, packaged, use):
    run_id = registry.run_for(use_case, tags())
    client.delete_run(run_id)
    with pytest.raises(RunDeleted, match=f"mlflow runs restore --run-id {run_id}"):
        use(registry, run_id, packaged)
    client.restore_run(run_id)
    use(registry, run_id, packaged)


def test_a_missing_run_counts_as_deleted(registry):
    with pytest.raises(RunDeleted, match="0000"):
        registry.log("0" * 32, tags={"a": "b"})


def test_a_deleted_experiment_names_the_remedy(registry, use_case, client):
    experiment_id = registry.ensure_experiment(use_case)
    client.delete_experiment(experiment_id)
    with pytest.raises(SettingsError, match=f"restore --experiment-id {experiment_id}"):
        registry.run_for(use_case, tags())


def test_an_experiment_is_created_once_with_its_tags(registry, use_case, client):
    experiment_id = registry.ensure_experiment(use_case, {"team": "ground"})
    assert registry.ensure_experiment(use_case, {"team": "air"}) == experiment_id
    assert client.get_experiment(experiment_id).tags["team"] == "air"


def test_a_missing_experiment_has_no_runs(registry, use_case):
    assert registry.search_runs(use_case) == []


def http_error(status):
    import requests

    response = requests.Response()
    response.status_code = status
    return requests.HTTPError(f"{status}", response=response)


def test_only_server_errors_of_the_artifact_store_are_transient():
    with (
        pytest.raises(ServiceUnavailable, match="did not complete the request"),
        translate_mlflow_errors("http://mlflow"),
    ):
        raise http_error(503)
    with pytest.raises(IOError, match="403"), translate_mlflow_errors("http://mlflow"):
        raise http_error(403)
