from __future__ import annotations

import pandas as pd
import pytest

from include.errors import CertificateInvalid, DataError
from include.inference.model import load_model, read_interface
from include.settings import settings


class Bomb:
    """An object that creates the file `trace` when it is unpickled."""

    def __init__(self, trace) -> None:
        self.trace = trace

    def __reduce__(self):
        return (type(self.trace).touch, (self.trace,))


def test_a_certified_model_predicts(model) -> None:
    predictions = model.predict(pd.DataFrame({"temp": [1.0, 2.0], "carrier": ["UA", "AA"], "hour": [1, 2]}))
    assert predictions.tolist() == [0.5, 0.5]
    assert model.features == ("carrier", "hour", "temp")
    assert model.prediction_range == (0, 1)


def test_code_of_an_uncertified_model_is_not_run(make_model, tmp_path) -> None:
    trace = tmp_path / "trace"
    folder = make_model("delay", 1, model=Bomb(trace))
    (folder / "certificate.json").unlink()
    with pytest.raises(CertificateInvalid, match=r"certificate\.json is missing"):
        load_model(folder, settings().trusted_keys)
    assert not trace.exists()
    make_model.certify(folder, "delay")
    load_model(folder, settings().trusted_keys)
    assert trace.exists()


def test_a_certificate_of_another_use_case_is_rejected(make_model) -> None:
    with pytest.raises(CertificateInvalid, match="delay"):
        load_model(make_model("delay", 1), settings().trusted_keys, use_case="air_time")


def test_a_model_without_a_signature_is_rejected_by_name(make_model) -> None:
    folder = make_model("delay", 1)
    (folder / "MLmodel").write_text("flavors: {}")
    with pytest.raises(DataError, match="MLmodel lacks"):
        read_interface(folder)


def test_unsupported_column_types_are_listed(make_model) -> None:
    with pytest.raises(DataError, match="binary"):
        read_interface(make_model("delay", 1, columns={"blob": "binary"}))
