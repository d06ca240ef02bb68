"""Against a real MLflow server on PostgreSQL."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import uuid
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import mlflow
import pytest

from include.errors import CertificateInvalid, ReleaseError, ServiceUnavailable, SettingsError
from include.modeling import once
from include.modeling.certificate import digest, file_digests
from include.modeling.registry import Logged, Registry, as_tags
from include.schema import connect
from include.serving.fetch import fetch

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def use_case():
    return f"use_case_{uuid.uuid4().hex[:8]}"


@pytest.fixture
def client(mlflow_server):
    return mlflow.MlflowClient(mlflow_server, mlflow_server)


def tags(run="manual__2013-07-01", **more):
    return {"airworthy.dag": "training", "airworthy.run": run, "airworthy.partition": "2013-07-01", **more}


def whole_life(registry, use_case, folder):
    """Return run, model and version, made once whoever else tries."""
    run_id = registry.run_for(use_case, tags())
    logged = registry.log_model(run_id, folder, digest=digest(folder), tags={"airworthy.inputs": "x"})
    return run_id, logged.model_id, registry.register(use_case, run_id, logged, {})


def made(client, use_case):
    """Count the runs, models and versions there are, deleted ones too."""
    experiment = client.get_experiment_by_name(use_case)
    if experiment is None:
        return 0, 0, 0
    ids = [experiment.experiment_id]
    runs = client.search_runs(ids, run_view_type=mlflow.entities.ViewType.ALL)
    return (
        len(runs),
        len(client.search_logged_models(ids)),
        len(client.search_model_versions(f"name='{use_case}'")),
    )


def test_the_same_dag_run_has_one_mlflow_run(registry, use_case):
    assert registry.run_for(use_case, tags()) == registry.run_for(use_case, tags())


@pytest.mark.parametrize("name", ["airworthy.dag", "airworthy.run", "airworthy.partition"])
def test_another_dag_run_has_another_mlflow_run(registry, use_case, name):
    assert registry.run_for(use_case, tags()) != registry.run_for(use_case, tags() | {name: "it's another"})


def test_a_second_try_is_written_beside_the_first_run(registry, use_case, client):
    registry.run_for(use_case, tags(**{"airworthy.try": "1"}))
    run_id = registry.run_for(use_case, tags(**{"airworthy.try": "2"}))
    assert client.get_run(run_id).data.tags["airworthy.try"] == "2"


def test_a_run_without_its_tags_is_refused(registry, use_case):
    with pytest.raises(SettingsError, match=r"airworthy\.run"):
        registry.run_for(use_case, {"airworthy.dag": "x", "airworthy.partition": "y"})


def test_one_call_logs_everything(registry, use_case, client):
    run_id = registry.run_for(use_case, tags())
    registry.log(run_id, params={"depth": 3}, metrics={"test.roc_auc": 0.7}, tags={"gate": "pass"})
    data = client.get_run(run_id).data
    assert (data.params, data.metrics, data.tags["gate"]) == ({"depth": "3"}, {"test.roc_auc": 0.7}, "pass")


def test_the_same_parameters_may_be_logged_again(registry, use_case, client):
    run_id = registry.run_for(use_case, tags())
    for _ in range(2):
        registry.log(run_id, params={"depth": 3})
    assert client.get_run(run_id).data.params == {"depth": "3"}


def test_other_parameters_in_the_same_run_are_refused(registry, use_case):
    run_id = registry.run_for(use_case, tags())
    registry.log(run_id, params={"depth": 3})
    with pytest.raises(SettingsError, match="new DAG run"):
        registry.log(run_id, params={"depth": 4})


def test_a_file_of_a_run_comes_back(registry, use_case, tmp_path):
    run_id = registry.run_for(use_case, tags())
    (tmp_path / "evidence.json").write_text("{}")
    registry.log_file(run_id, tmp_path / "evidence.json")
    (tmp_path / "fetched").mkdir()
    assert registry.file(run_id, "evidence.json", tmp_path / "fetched").read_text() == "{}"


def test_a_file_that_a_run_lacks_is_none(registry, use_case, tmp_path):
    assert registry.file(registry.run_for(use_case, tags()), "nothing.npy", tmp_path) is None


def test_a_file_of_no_run_is_none(registry, tmp_path):
    assert registry.file("0" * 32, "nothing.npy", tmp_path) is None


def test_a_life_repeated_makes_nothing_new(registry, use_case, client, packaged):
    assert whole_life(registry, use_case, packaged) == whole_life(registry, use_case, packaged)
    assert made(client, use_case) == (1, 1, 1)


def test_a_run_keeps_the_first_model_that_was_logged_whole(registry, use_case, packaged):
    run_id = registry.run_for(use_case, tags())
    first = registry.log_model(run_id, packaged, digest=digest(packaged), tags={})
    (packaged / "model.pkl").write_bytes(b"another fit")
    second = registry.log_model(run_id, packaged, digest=digest(packaged), tags={})
    assert (second.model_id, second.digest) == (first.model_id, first.digest)


def test_a_half_written_model_is_no_model_yet_and_is_written_over(
    registry, use_case, packaged, monkeypatch, tmp_path
):
    run_id = registry.run_for(use_case, tags())
    with monkeypatch.context() as patch:
        patch.setattr(registry._client, "finalize_logged_model", stop)
        with pytest.raises(KeyboardInterrupt):
            registry.log_model(run_id, packaged, digest=digest(packaged), tags={})
    assert registry.logged(run_id) is None
    (packaged / "model.pkl").write_bytes(b"another fit")
    logged = registry.log_model(run_id, packaged, digest=digest(packaged), tags={})
    assert registry.logged(run_id).digest == logged.digest == digest(packaged)
    assert digest(registry.fetch(logged.model_id, tmp_path / "fetched")) == digest(packaged)


def stop(*_):
    raise KeyboardInterrupt


def test_a_downloaded_version_has_the_digest_that_was_registered(registry, use_case, packaged, tmp_path):
    *_, version = whole_life(registry, use_case, packaged)
    assert digest(registry.download(use_case, version, tmp_path / "new" / "1")) == digest(packaged)


def test_a_download_leaves_nothing_of_what_was_there(registry, use_case, packaged, tmp_path):
    *_, version = whole_life(registry, use_case, packaged)
    (tmp_path / "version").mkdir()
    (tmp_path / "version" / "old").write_text("")
    registry.download(use_case, version, tmp_path / "version")
    assert file_digests(tmp_path / "version") == file_digests(packaged)
    assert not list(tmp_path.glob(".version*"))


def test_the_certificate_arrives_with_the_version_and_the_evidence_it_names(
    registry, use_case, packaged, tmp_path
):
    _, model_id, version = whole_life(registry, use_case, packaged)
    (tmp_path / "evidence").mkdir()
    (tmp_path / "evidence" / "late.json").write_text("{}")
    (tmp_path / "certificate.json").write_text("not signed yet")
    registry.add_certificate(model_id, tmp_path)
    (tmp_path / "evidence" / "late.json").rename(tmp_path / "evidence" / "evidence.json")
    (tmp_path / "certificate.json").write_text("signed")
    registry.add_certificate(model_id, tmp_path)
    folder = registry.download(use_case, version, tmp_path / "version")
    assert (folder / "certificate.json").read_text() == "signed"
    assert [path.name for path in (folder / "evidence").iterdir()] == ["evidence.json"]
    assert digest(folder) == digest(packaged)


def test_the_files_of_another_version_do_not_count(registry, use_case, packaged, tmp_path):
    run_id, model_id, _ = whole_life(registry, use_case, packaged)
    other = registry.register(use_case, run_id, Logged(model_id, "0" * 64), {})
    with pytest.raises(CertificateInvalid, match=f"{use_case} version {other} is the model 0000"):
        registry.download(use_case, other, tmp_path / "version")


def test_a_version_that_is_not_there_is_named(registry, use_case, packaged, tmp_path):
    whole_life(registry, use_case, packaged)
    with pytest.raises(ReleaseError, match=f"{use_case} version 7"):
        registry.download(use_case, 7, tmp_path / "version")


def test_another_digest_is_another_version(registry, use_case, packaged):
    run_id, model_id, version = whole_life(registry, use_case, packaged)
    assert registry.register(use_case, run_id, Logged(model_id, "other"), {}) == version + 1


def test_a_version_carries_its_lineage(registry, use_case, packaged):
    run_id, model_id, _ = whole_life(registry, use_case, packaged)
    version = registry.register(use_case, run_id, Logged(model_id, "d2"), {"airworthy.snapshot": "s"})
    registry.version_tags(use_case, version, {"airworthy.approved_by": "ann"})
    expected = {
        "airworthy.run_id": run_id,
        "airworthy.digest": "d2",
        "airworthy.snapshot": "s",
        "airworthy.approved_by": "ann",
    }
    assert registry.tags_of(use_case, version) == expected


def test_aliases_follow_the_desired_state(registry, use_case, packaged, client):
    run_id, model_id, one = whole_life(registry, use_case, packaged)
    two = registry.register(use_case, run_id, Logged(model_id, "other"), {})
    registry.alias(use_case, champion=one, challenger=two, previous=None)
    registry.alias(use_case, champion=two, challenger=None, previous=one)
    registry.alias(use_case, champion=two, challenger=None, previous=one)
    found = client.get_registered_model(use_case).aliases
    assert {name: int(version) for name, version in found.items()} == {"champion": two, "previous": one}


def live(uri, url, use_case, folder, barrier=None):
    engine = connect(url)
    if barrier:
        barrier.wait()
    whole_life(Registry(uri, engine), use_case, folder)


def test_attempts_side_by_side_make_one_of_each(mlflow_server, database_url, use_case, packaged, client):
    barrier = FORK.Barrier(3)
    given = (mlflow_server, database_url, use_case, packaged, barrier)
    attempts = [FORK.Process(target=live, args=given) for _ in range(3)]
    for attempt in attempts:
        attempt.start()
    for attempt in attempts:
        attempt.join(60)
    assert [attempt.exitcode for attempt in attempts] == [0, 0, 0]
    assert made(client, use_case) == (1, 1, 1)


def test_attempts_killed_anywhere_make_one_of_each(mlflow_server, database_url, use_case, packaged, client):
    for milliseconds in range(20, 700, 60):
        attempt = FORK.Process(target=live, args=(mlflow_server, database_url, use_case, packaged))
        attempt.start()
        time.sleep(milliseconds / 1000)
        os.kill(attempt.pid, signal.SIGKILL)
        attempt.join(10)
    live(mlflow_server, database_url, use_case, packaged)
    assert made(client, use_case) == (1, 1, 1)


@pytest.fixture
def losing(mlflow_server):
    """Return a proxy before MLflow that loses the answers of the paths in `.lost`, once they are done."""

    class Proxy(BaseHTTPRequestHandler):
        def forward(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {"Content-Type": self.headers.get("Content-Type", "application/json")}
            answer = httpx.request(self.command, mlflow_server + self.path, content=body, headers=headers)
            server.asked.append(self.path)
            if any(self.path.endswith(path) for path in server.lost):
                self.connection.close()
                return
            self.send_response(answer.status_code)
            self.send_header("Content-Type", answer.headers.get("Content-Type", "text/plain"))
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = do_PUT = do_PATCH = forward

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    server.lost, server.asked, server.handle_error = [], [], lambda *_: None
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_lost_answer_makes_nothing_twice(losing, database, use_case, packaged, client, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    losing.lost += ["runs/create", "logged-models", "model-versions/create"]
    registry = Registry(f"http://127.0.0.1:{losing.server_port}", database)
    whole_life(registry, use_case, packaged)
    assert made(client, use_case) == (1, 1, 1)
    assert [path for path in losing.asked if path.endswith(tuple(losing.lost))] == [
        f"/api/2.0/mlflow/{path}" for path in losing.lost
    ]


def test_what_cannot_be_confirmed_is_tried_again_later(registry, use_case, monkeypatch):
    monkeypatch.setattr(once, "SETTLE_SECONDS", 0.2)
    away = Registry("http://127.0.0.1:9")

    def create():
        once.post(away.uri, "runs/create", {})

    with pytest.raises(ServiceUnavailable, match="the run"):
        once.once(lambda: None, create, "the run")


def test_a_refused_create_is_no_accident(mlflow_server):
    def create():
        once.post(mlflow_server, "runs/create", {"experiment_id": "no such"})

    with pytest.raises(mlflow.exceptions.MlflowException, match="no such"):
        once.once(lambda: None, create, "the run")


def test_a_lock_is_free_again_once_its_holder_is_gone(database):
    with once.alone(database, "key"):
        pass
    with once.alone(database, "key", patience="100ms"):
        pass


def test_who_waits_too_long_for_another_attempt_tries_again_later(database):
    with (
        once.alone(database, "key"),
        pytest.raises(ServiceUnavailable, match="another attempt"),
        once.alone(database, "key", patience="100ms"),
    ):
        pass


def test_another_key_is_another_lock(database):
    with once.alone(database, "key"), once.alone(database, "other", patience="100ms"):
        pass


def test_the_controller_fetches_the_same_files_without_mlflow(
    registry, mlflow_server, use_case, packaged, tmp_path
):
    *_, version = whole_life(registry, use_case, packaged)
    assert file_digests(fetch(mlflow_server, use_case, version, tmp_path / "fetched")) == file_digests(
        packaged
    )


@pytest.mark.parametrize(("table", "named"), [("features", {3, 7}), ("labels", {5}), ("nothing", set())])
def test_finds_the_table_versions_that_registered_models_name(registry, packaged, table, named):
    mine = uuid.uuid4().hex[:8]
    logged = {"digest": digest(packaged), "tags": {}}
    for name, feature_version in (("one", 3), ("two", 7)):
        snapshot = {
            "feature_view": f"features_{mine}", "feature_version": feature_version,
            "label_dataset": f"labels_{mine}", "label_version": 5,
        }  # fmt: skip
        run_id = registry.run_for(f"{name}_{mine}", tags())
        model = registry.log_model(run_id, packaged, **logged)
        lineage = as_tags({f"snapshot.{key}": value for key, value in snapshot.items()})
        registry.register(f"{name}_{mine}", run_id, model, lineage)
    assert registry.versions_of_table(f"{table}_{mine}") == named


def test_reads_every_page_of_the_versions_that_name_a_table(registry, use_case, packaged, monkeypatch):
    search = registry._client.search_model_versions
    monkeypatch.setattr(registry._client, "search_model_versions", partial(search, max_results=1))
    for version in (1, 2, 3):
        run_id = registry.run_for(use_case, tags(str(version)))
        model = registry.log_model(run_id, packaged, digest=digest(packaged), tags={})
        lineage = as_tags({"snapshot.feature_view": use_case, "snapshot.feature_version": version})
        registry.register(use_case, run_id, model, lineage)
    assert registry.versions_of_table(use_case) == {1, 2, 3}
