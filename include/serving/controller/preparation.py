"""Files of a version: downloaded and verified before its model servers start."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from include.certificates import certificate
from include.errors import CertificateInvalid
from include.inference.download import download_version
from include.serving import paths
from include.settings import settings

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future


class Preparations:
    """Prepares each version once, however many of its servers wait for it; `pool` runs the downloads."""

    def __init__(self, pool: Executor) -> None:
        self._pool = pool
        self._tasks: dict[tuple[str, int], Future[bool]] = {}

    def begin(self, use_case: str, version: int) -> Future[bool]:
        """Return the preparation of a version that is running, or a new one."""
        key = (use_case, version)
        if key not in self._tasks or self._tasks[key].done():
            self._tasks[key] = self._pool.submit(prepare_version, use_case, version)
        return self._tasks[key]


def prepare_version(use_case: str, version: int) -> bool:
    """
    Download the files of a version and verify its certificate; return True.

    Raises
    ------
    CertificateInvalid
        If the certificate is not valid. The files are deleted, so that the next attempt downloads them.
    """
    folder = download_version(settings().mlflow_uri, use_case, version, paths.model_folder(use_case, version))
    try:
        certificate.verify_certificate(folder, settings().trusted_keys, use_case=use_case)
    except CertificateInvalid:
        shutil.rmtree(folder)
        raise
    return True
