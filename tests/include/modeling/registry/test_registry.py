"""Tests with a real MLflow server on PostgreSQL."""

from __future__ import annotations

import uuid
from functools import partial

import pytest

from include.certificates.certificate import file_digests, model_digest
from include.errors import CertificateInvalid, ConflictError, ReleaseError, RunDeleted, SettingsError
from include.inference.download import download_version
from include.modeling.registry.registry import ModelReference, as_tags
from tests.include.modeling.registry.version_lifecycle import count_objects, create_version, tags


def test_the_same_dag_run_has_one_mlflow_run(registry, use_case):
    assert registry.run_for(use_case, tags()) == registry.run_for(use_case, tags())


@pytest.mark.parametrize("name", ["airworthy.dag", "airworthy.run", "airworthy.partition"])
def test_another_dag_run_has_another_mlflow_run(registry, use_case, name):
    assert registry.run_for(use_case, tags()) != registry.run_for(use_case, tags() | {name: "it's another"})


def test_a_second_try_updates_the_tags_of_the_run(registry, use_case, client):
    registry.run_for(use_case, tags(**{"airworthy.try": "1"}))
    run_id = registry.run_for(use_case, tags(**{"airworthy.try": "2"}))
    assert client.get_run(run_id).data.tags["airworthy.try"] == "2"


def test_a_run_without_identifying_tags_is_refused(registry, use_case):
    with pytest.raises(SettingsError, match=r"airworthy\.run"):
        registry.run_for(use_case, {"airworthy.dag": "x", "airworthy.partition": "y"})


def test_one_call_logs_parameters_metrics_and_tags(registry, use_case, client):
    run_id = registry.run_for(use_case, tags())
    registry.log(run_id, params={"depth": 3}, metrics={"test.roc_auc": 0.7}, tags={"gate": "pass"})
    data = client.get_run(run_id).data
    assert (data.params, data.metrics, data.tags["gate"]) == ({"depth": "3"}, {"test.roc_auc": 0.7}, "pass")


def test_the_same_parameters_may_be_logged_again(registry, use_case, client):
    run_id = registry.run_for(use_case, tags())
    for _ in range(2):
        registry.log(run_id, params={"depth": 3})
    assert client.get_run(run_id).data.params == {"depth": "3"}


def test_different_parameters_in_the_same_run_are_refused(registry, use_case):
    run_id = registry.run_for(use_case, tags())
    registry.log(run_id, params={"depth": 3})
    with pytest.raises(ConflictError, match="new DAG run"):
        registry.log(run_id, params={"depth": 4})


def test_a_logged_file_can_be_read(registry, use_case, tmp_path):
    run_id = registry.run_for(use_case, tags())
    (tmp_path / "evidence.json").write_text("{}")
    registry.log_file(run_id, tmp_path / "evidence.json")
    assert registry.read_file(run_id, "evidence.json") == b"{}"


def test_a_missing_file_of_a_run_is_none(registry, use_case):
    assert registry.read_file(registry.run_for(use_case, tags()), "nothing.npy") is None


def test_a_file_of_a_missing_run_is_none(registry):
    assert registry.read_file("0" * 32, "nothing.npy") is None


def test_a_repeated_attempt_creates_nothing(registry, use_case, client, packaged):
    assert create_version(registry, use_case, packaged) == create_version(registry, use_case, packaged)
    assert count_objects(client, use_case) == (1, 1, 1)


def test_a_run_keeps_its_first_complete_model(registry, use_case, packaged):
    run_id = registry.run_for(use_case, tags())
    first = registry.log_model(run_id, packaged, digest=model_digest(packaged), tags={})
    (packaged / "model.pkl").write_bytes(b"another fit")
    second = registry.log_model(run_id, packaged, digest=model_digest(packaged), tags={})
    assert (second.model_id, second.digest) == (first.model_id, first.digest)


def test_a_deleted_model_is_named_in_the_error(registry, use_case, packaged, client, tmp_path):
    model = registry.log_model(
        registry.run_for(use_case, tags()), packaged, digest=model_digest(packaged), tags={}
    )
    client.delete_logged_model(model.model_id)
    with pytest.raises(RunDeleted, match=f"The MLflow model {model.model_id} was deleted"):
        registry.fetch_model(model.model_id, tmp_path / "fetched")


def test_an_incomplete_model_is_overwritten(registry, use_case, packaged, monkeypatch, tmp_path):
    run_id = registry.run_for(use_case, tags())
    with monkeypatch.context() as patch:
        patch.setattr(registry._client, "finalize_logged_model", interrupt)
        with pytest.raises(KeyboardInterrupt):
            registry.log_model(run_id, packaged, digest=model_digest(packaged), tags={})
    assert registry.logged_model(run_id) is None
    (packaged / "model.pkl").write_bytes(b"another fit")
    logged = registry.log_model(run_id, packaged, digest=model_digest(packaged), tags={})
    assert registry.logged_model(run_id).digest == logged.digest == model_digest(packaged)
    assert model_digest(registry.fetch_model(logged.model_id, tmp_path / "fetched")) == model_digest(packaged)


def interrupt(*_):
    raise KeyboardInterrupt


def test_a_downloaded_version_has_the_registered_digest(registry, use_case, packaged, tmp_path):
    *_, version = create_version(registry, use_case, packaged)
    assert model_digest(registry.download(use_case, version, tmp_path / "new" / "1")) == model_digest(
        packaged
    )


def test_a_download_replaces_the_whole_folder(registry, use_case, packaged, tmp_path):
    *_, version = create_version(registry, use_case, packaged)
    (tmp_path / "version").mkdir()
    (tmp_path / "version" / "old").write_text("")
    registry.download(use_case, version, tmp_path / "version")
    assert file_digests(tmp_path / "version") == file_digests(packaged)
    assert not list(tmp_path.glob(".version*"))


def test_a_download_contains_the_last_certificate(registry, use_case, packaged, tmp_path):
    _, model_id, version = create_version(registry, use_case, packaged)
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
    assert model_digest(folder) == model_digest(packaged)


def test_a_version_with_other_files_is_refused(registry, use_case, packaged, tmp_path):
    run_id, model_id, _ = create_version(registry, use_case, packaged)
    other = registry.register(use_case, run_id, ModelReference(model_id, "0" * 64), {})
    with pytest.raises(CertificateInvalid, match=f"{use_case} version {other} is the model 0000"):
        registry.download(use_case, other, tmp_path / "version")


def test_a_missing_version_is_named_in_the_error(registry, use_case, packaged, tmp_path):
    create_version(registry, use_case, packaged)
    with pytest.raises(ReleaseError, match=f"{use_case} version 7"):
        registry.download(use_case, 7, tmp_path / "version")


def test_another_digest_gives_another_version(registry, use_case, packaged):
    run_id, model_id, version = create_version(registry, use_case, packaged)
    assert registry.register(use_case, run_id, ModelReference(model_id, "other"), {}) == version + 1


def test_a_version_has_the_tags_of_its_lineage(registry, use_case, packaged):
    run_id, model_id, _ = create_version(registry, use_case, packaged)
    version = registry.register(use_case, run_id, ModelReference(model_id, "d2"), {"airworthy.snapshot": "s"})
    registry.set_version_tags(use_case, version, {"airworthy.approved_by": "ann"})
    expected = {
        "airworthy.run_id": run_id,
        "airworthy.digest": "d2",
        "airworthy.snapshot": "s",
        "airworthy.approved_by": "ann",
    }
    assert registry.tags_of(use_case, version) == expected


def test_aliases_follow_the_desired_state(registry, use_case, packaged, client):
    run_id, model_id, first = create_version(registry, use_case, packaged)
    second = registry.register(use_case, run_id, ModelReference(model_id, "other"), {})
    registry.set_aliases(use_case, champion=first, challenger=second, previous=None)
    registry.set_aliases(use_case, champion=second, challenger=None, previous=first)
    registry.set_aliases(use_case, champion=second, challenger=None, previous=first)
    aliases = client.get_registered_model(use_case).aliases
    assert {name: int(version) for name, version in aliases.items()} == {
        "champion": second,
        "previous": first,
    }


def test_aliases_of_an_unregistered_model_are_none_already(registry, use_case):
    assert registry.set_aliases(use_case, champion=None, previous=None) == []
    with pytest.raises(SettingsError, match="not found"):
        registry.set_aliases(use_case, champion=1)


def test_a_download_over_http_has_the_same_files(registry, mlflow_server, use_case, packaged, tmp_path):
    *_, version = create_version(registry, use_case, packaged)
    folder = download_version(mlflow_server, use_case, version, tmp_path / "fetched")
    assert file_digests(folder) == file_digests(packaged)


@pytest.mark.parametrize(
    ("table", "expected"), [("features", {3, 7}), ("labels", {5}), ("joined", {9}), ("nothing", set())]
)
def test_table_versions_of_registered_models_are_found(registry, packaged, table, expected):
    suffix = uuid.uuid4().hex[:8]
    logged = {"digest": model_digest(packaged), "tags": {}}
    for name, feature_version in (("first", 3), ("second", 7)):
        snapshot = {
            "feature_view": f"features_{suffix}", "feature_version": feature_version,
            "label_dataset": f"labels_{suffix}", "label_version": 5,
        }  # fmt: skip
        run_id = registry.run_for(f"{name}_{suffix}", tags())
        model = registry.log_model(run_id, packaged, **logged)
        lineage = as_tags({f"snapshot.{key}": value for key, value in snapshot.items()})
        lineage |= as_tags({f"snapshot.joined_versions.joined_{suffix}": 9})
        registry.register(f"{name}_{suffix}", run_id, model, lineage)
    assert registry.versions_of_table(f"{table}_{suffix}") == expected


def test_all_pages_of_versions_of_a_table_are_read(registry, use_case, packaged, monkeypatch):
    search = registry._client.search_model_versions
    monkeypatch.setattr(registry._client, "search_model_versions", partial(search, max_results=1))
    for version in (1, 2, 3):
        run_id = registry.run_for(use_case, tags(str(version)))
        model = registry.log_model(run_id, packaged, digest=model_digest(packaged), tags={})
        lineage = as_tags({"snapshot.feature_view": use_case, "snapshot.feature_version": version})
        registry.register(use_case, run_id, model, lineage)
    assert registry.versions_of_table(use_case) == {1, 2, 3}
