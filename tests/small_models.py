"""Certified models that are small enough to be created in each test."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cloudpickle
import pytest
import yaml

from include.certificates import certificate
from include.settings import settings
from tests.conftest import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COLUMNS = {"carrier": "string", "hour": "long", "temp": "double"}
ROW = {"carrier": "UA", "hour": 7, "temp": 61.5}
BACKGROUND = [ROW, ROW | {"hour": 17, "temp": None}]


def estimator(answer: float, mood: Path | None) -> Any:
    """Return a classifier that predicts `answer` unless its mood file says fail, hang, nan or outside."""

    # Defined in the function, so that cloudpickle stores the class in the file.
    class Moody:
        def predict_proba(self, frame: Any) -> Any:
            import time

            import numpy as np

            state = mood.read_text() if mood is not None and mood.exists() else "good"
            if state == "fail":
                raise RuntimeError("the mood file says fail")
            while mood is not None and mood.exists() and mood.read_text() == "hang":
                time.sleep(0.05)
            value = {"nan": float("nan"), "outside": 1.5}.get(state, answer)
            return np.array([[1 - value, value]] * len(frame))

    return Moody()


@dataclass
class ModelMaker:
    """Creates certified model folders in a home, as training creates them."""

    home: Path

    def __call__(
        self, use_case: str, version: int, *, answer: float = 0.5, model: Any = None, columns: Any = None
    ) -> Path:
        folder = self.home / "models" / use_case / str(version)
        folder.mkdir(parents=True)
        metadata = {
            "use_case": use_case,
            "task": "binary",
            "features": list(COLUMNS),
            "prediction_range": [0, 1],
        }
        kinds = columns or COLUMNS
        nullable = [name for name, kind in kinds.items() if kind.endswith("?")]
        if nullable:
            metadata |= {"nullable": nullable}
        inputs = [
            {"type": kind.removesuffix("?"), "name": name, "required": name not in nullable}
            for name, kind in kinds.items()
        ]
        mlmodel = {
            "flavors": {"sklearn": {"pickled_model": "model.pkl", "serialization_format": "cloudpickle"}},
            "metadata": {"airworthy": metadata},
            "signature": {"inputs": json.dumps(inputs)},
        }
        (folder / "MLmodel").write_text(yaml.safe_dump(mlmodel))
        if columns is None:
            (folder / "background.json").write_text(json.dumps({"dataframe_records": BACKGROUND}))
        content = estimator(answer, self.mood(version)) if model is None else model
        (folder / "model.pkl").write_bytes(cloudpickle.dumps(content))
        self.certify(folder, use_case)
        return folder

    def certify(self, folder: Path, use_case: str) -> None:
        passed = certificate.GateEvidence(
            gate="threshold", outcome="pass", severity="block", reason="good", figures={}
        )
        claims = certificate.Claims(
            use_case=use_case, snapshot={}, code_version="c0de", lock_hash="10c4", run_id="run", metrics={},
            gates=(passed,), environment={},
        )  # fmt: skip
        signed = certificate.issue_certificate(folder, claims, key_path=self.home / "keys" / "signing.pem")
        (folder / certificate.FILE_NAME).write_bytes(signed)

    def mood(self, version: int) -> Path:
        return self.home / f"mood-{version}"


@contextmanager
def home_at(folder: Path, **variables: str) -> Iterator[Path]:
    """Use `folder` as the AIRWORTHY_HOME of this process, with its own keys and ports."""
    ports = free_ports(3)
    variables |= {
        "AIRWORTHY_HOME": str(folder),
        "AIRWORTHY_GATEWAY_PORT": str(ports[0]),
        "AIRWORTHY_CONTROLLER_PORT": str(ports[1]),
        "AIRWORTHY_MLFLOW_URI": f"http://127.0.0.1:{ports[2]}",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        settings.cache_clear()
        certificate.generate_keys(folder / "keys")
        yield folder
    settings.cache_clear()
