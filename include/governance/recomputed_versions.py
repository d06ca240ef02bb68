"""Answers of registered versions to their golden rows with the packages of a requirements file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from include.certificates.certificate import verify_certificate
from include.errors import CertificateInvalid, DataError
from include.inference.download import download_version
from include.inference.golden_comparison import GoldenComparison
from include.modeling.pipeline.past_environment import install_lock
from include.modeling.registry.provenance import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.governance.package_check import VersionCheck
    from include.modeling.pipeline.past_environment import InstallLock

TIMEOUT_S = 600
MAX_MESSAGE_LENGTH = 500


def recompute_versions(
    checks: Sequence[VersionCheck],
    requirements: Path,
    environments: Path,
    *,
    mlflow_uri: str,
    trusted: Path,
    install: InstallLock = install_lock,
) -> list[VersionCheck]:
    """
    Return the checks, with the predictions of each version that other packages concern.

    Parameters
    ----------
    checks
        Registered versions, from `check_versions`.
    requirements
        The requirements file that they were checked against.
    environments
        Folder of installed packages; they are kept for the next time.
    mlflow_uri
        Address of the MLflow server.
    trusted
        Folder of the trusted public keys; a package without a valid certificate is not loaded.
    install
        Installs a requirements file.

    Raises
    ------
    SettingsError
        If the packages cannot be installed.
    ServiceUnavailable
        If MLflow does not answer.
    """
    if not any(check.status == "changed" for check in checks):
        return list(checks)
    python_version = ".".join(map(str, sys.version_info[:3]))
    python = install(requirements, python_version, environments)
    recomputed = []
    for check in checks:
        if check.status == "changed":
            comparison = _compare_version(check, python, mlflow_uri, trusted)
            recomputed.append(replace(check, comparison=comparison))
        else:
            recomputed.append(check)
    return recomputed


def _compare_version(check: VersionCheck, python: Path, mlflow_uri: str, trusted: Path) -> GoldenComparison:
    with TemporaryDirectory(prefix="airworthy-") as temporary:
        folder = Path(temporary) / "model"
        try:
            download_version(mlflow_uri, check.use_case, check.version, folder)
            verify_certificate(folder, trusted, use_case=check.use_case)
        except (CertificateInvalid, DataError) as error:
            return GoldenComparison(problem=str(error))
        return run_in_environment(python, folder)


def run_in_environment(python: Path, folder: Path) -> GoldenComparison:
    """Return the comparison of the package in `folder`, computed by another interpreter."""
    command = [str(python), "-m", "include.inference.golden_comparison", str(folder)]
    # One thread: another number of threads may add in another order.
    variables = {"PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1", "OPENBLAS_NUM_THREADS": "1"}
    try:
        completed = subprocess.run(  # noqa: S603  an interpreter that was installed for this
            command, cwd=REPOSITORY, env=os.environ | variables, capture_output=True, text=True,
            timeout=TIMEOUT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return GoldenComparison(problem=f"no answer within {TIMEOUT_S} s")
    if completed.returncode:
        message = completed.stderr.strip().rpartition("\n")[2][:MAX_MESSAGE_LENGTH]
        return GoldenComparison(problem=message or f"exit code {completed.returncode}")
    return GoldenComparison(**json.loads(completed.stdout.strip().rpartition("\n")[2]))
