"""A compiled twin in memory, and its files in the package of a model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from include.inference.predictions import round_probabilities
from include.inference.twin.encoder import Encoder, TwinRefusal
from include.inference.twin.predictors import PREDICTORS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from include.inference.twin.predictors import Predictor

__all__ = [
    "FOLDER",
    "MAX_TWIN_ROWS",
    "CompiledTwin",
    "TwinRefusal",
    "describe_twin",
    "load_twin",
    "write_twin",
]

FOLDER = "twin"
DESCRIPTION = "twin.json"
CONTENT = "twin.bin"
# More rows are predicted by the estimator, which shares the cost of a call among them.
MAX_TWIN_ROWS = 500


@dataclass(frozen=True, slots=True)
class CompiledTwin:
    """
    A model that answers as its estimator does, within a tolerance, in less time.

    `evidence` says how it was made, and how it was compared with the estimator.
    """

    encoder: Encoder
    predictor: Predictor
    task: str
    evidence: Mapping[str, Any]

    def predict(self, columns: Mapping[str, Sequence[Any]], n_rows: int) -> npt.NDArray[np.float64]:
        """
        Return the predictions of `n_rows` rows, as `ServedModel.predict` returns them.

        Raises
        ------
        TwinRefusal
            If the estimator may refuse a value.
        """
        output = self.predictor.predict(self.encoder.encode(columns, n_rows))
        if self.task == "multiclass":
            return round_probabilities(output)
        if output.shape[1] == 1:
            return np.asarray(output[:, 0])
        return np.asarray(round_probabilities(output)[:, 1])


def write_twin(
    folder: Path, kind: str, encoder: Encoder, content: bytes, parameters: Mapping[str, Any]
) -> None:
    """Write the files of a twin into the package `folder`, without evidence."""
    target = folder / FOLDER
    target.mkdir()
    (target / CONTENT).write_bytes(content)
    description = {"kind": kind, "parameters": dict(parameters), "encoder": encoder.to_json(), "evidence": {}}
    (target / DESCRIPTION).write_text(json.dumps(description))


def add_evidence(folder: Path, evidence: Mapping[str, Any]) -> None:
    """Add to the twin of a package how it was compared with the estimator."""
    path = folder / FOLDER / DESCRIPTION
    path.write_text(json.dumps(json.loads(path.read_text()) | {"evidence": dict(evidence)}))


def describe_twin(folder: Path) -> dict[str, Any]:
    """Return the kind of the twin of a package and how it was compared; empty without one."""
    path = folder / FOLDER / DESCRIPTION
    if not path.exists():
        return {}
    description = json.loads(path.read_text())
    return {"kind": description["kind"], **description["evidence"]}


def load_twin(folder: Path, task: str) -> CompiledTwin | None:
    """
    Return the twin of a verified package; None without one.

    Raises
    ------
    ImportError, ValueError, RuntimeError, KeyError
        If it cannot be loaded with the installed packages.
    """
    path = folder / FOLDER / DESCRIPTION
    if not path.exists():
        return None
    description = json.loads(path.read_text())
    content = (folder / FOLDER / CONTENT).read_bytes()
    predictor = PREDICTORS[description["kind"]](content, description["parameters"])
    encoder = Encoder.from_json(description["encoder"])
    return CompiledTwin(encoder, predictor, task, description["evidence"])
