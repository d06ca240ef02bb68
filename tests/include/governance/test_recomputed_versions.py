from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from include.errors import CertificateInvalid, DataError
from include.governance import recomputed_versions
from include.governance.package_check import PackageDifference, VersionCheck
from include.governance.recomputed_versions import recompute_versions, run_in_environment
from tests.include.conftest import estimators, packaged, packaged_once

__all__ = ["estimators", "packaged", "packaged_once"]
OTHER = (PackageDifference("numpy", "2.1", "2.2"),)
CHECKS = [
    VersionCheck("delay", 1, "same"),
    VersionCheck("delay", 2, "changed", OTHER),
    VersionCheck("delay", 3, "changed", OTHER),
    VersionCheck("delay", 4, "unknown", reason="no certificate"),
]


def recompute(tmp_path, install, checks=CHECKS):
    requirements = tmp_path / "requirements.txt"
    return recompute_versions(
        checks, requirements, tmp_path, mlflow_uri="http://mlflow", trusted=tmp_path, install=install
    )


@pytest.fixture
def versions(packaged, monkeypatch):
    """Register versions of one package; the certificate of version 3 is not valid."""

    def verify(folder, trusted, use_case):
        if (folder / "version").read_text() == "3":
            raise CertificateInvalid("altered")

    def download(uri, use_case, version, folder):
        shutil.copytree(packaged, folder)
        (folder / "version").write_text(f"{version}")

    monkeypatch.setattr(recomputed_versions, "download_version", download)
    monkeypatch.setattr(recomputed_versions, "verify_certificate", verify)


def test_only_versions_with_other_packages_are_predicted(versions, tmp_path):
    installed = []

    def install(requirements, python_version, environments):
        installed.append((requirements.name, environments))
        return Path(sys.executable)

    same, changed, altered, unknown = recompute(tmp_path, install)
    assert installed == [("requirements.txt", tmp_path)]
    assert (same, unknown) == (CHECKS[0], CHECKS[3])
    assert changed.comparison.is_same
    assert changed.comparison.rows > 0
    assert altered.comparison.problem == "altered"


def test_nothing_is_installed_without_a_difference(tmp_path):
    def install(*_):
        pytest.fail("nothing is to be installed")

    assert recompute(tmp_path, install, CHECKS[:1]) == CHECKS[:1]


def test_version_without_files_is_the_problem(versions, monkeypatch, tmp_path):
    def download(*_):
        raise DataError("delay version 2 has no files")

    monkeypatch.setattr(recomputed_versions, "download_version", download)
    _, changed, *_ = recompute(tmp_path, lambda *_: Path(sys.executable))
    assert changed.comparison.problem == "delay version 2 has no files"


def test_environment_without_the_project_is_the_problem(packaged, tmp_path, monkeypatch):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho \"ModuleNotFoundError: No module named 'numpy'\" >&2\nexit 1\n")
    python.chmod(0o755)
    assert "No module named 'numpy'" in run_in_environment(python, packaged).problem
    python.write_text("#!/bin/sh\nsleep 60\n")
    monkeypatch.setattr(recomputed_versions, "TIMEOUT_S", 0.1)
    assert "within 0.1 s" in run_in_environment(python, packaged).problem
