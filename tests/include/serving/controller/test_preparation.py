from __future__ import annotations

from concurrent.futures import Executor, Future
from unittest.mock import create_autospec

import pytest

from include.errors import CertificateInvalid
from include.serving import paths
from include.serving.controller.preparation import Preparations, prepare_version


def test_servers_that_wait_for_a_version_share_its_preparation() -> None:
    pool = create_autospec(Executor)
    pool.submit.side_effect = lambda *_: Future()
    preparations = Preparations(pool)
    first = preparations.begin("delay", 1)
    assert preparations.begin("delay", 1) is first
    assert preparations.begin("delay", 2) is not first
    first.set_result(True)
    assert preparations.begin("delay", 1) is not first


def test_files_that_are_not_certified_are_deleted(home, make_model) -> None:
    folder = make_model("delay", 1)
    assert prepare_version("delay", 1)
    (folder / "model.pkl").write_bytes(b"not what was signed")
    with pytest.raises(CertificateInvalid, match=r"model\.pkl changed"):
        prepare_version("delay", 1)
    assert not paths.model_folder("delay", 1).exists()
