"""A model as an ONNX graph, which answers without the library that it was trained with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from include.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

STRING = "tensor(string)"


class OnnxModel:
    """The graph in a file, asked as a scikit-learn estimator is: with a frame."""

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # beside many other model servers
        self._session: Any = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        self._kinds = {node.name: node.type for node in self._session.get_inputs()}

    def predict_proba(self, frame: pd.DataFrame) -> np.ndarray:
        """Return the classes' probabilities, a row each."""
        return np.asarray(self._answers(frame)[-1], dtype=np.float64)

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """Return one value a row."""
        return np.asarray(self._answers(frame)[0], dtype=np.float64).reshape(len(frame))

    def _answers(self, frame: pd.DataFrame) -> list[Any]:
        answers: list[Any] = self._session.run(
            None, {name: _column(frame[name], kind) for name, kind in self._kinds.items()}
        )
        return answers


def _column(values: pd.Series[Any], kind: str) -> np.ndarray:
    if kind != STRING:
        return values.to_numpy(dtype=np.float32, na_value=np.nan).reshape(-1, 1)
    if values.isna().any():
        raise DataError(
            f"{int(values.isna().sum())} rows have no {values.name}, and an ONNX graph knows no missing "
            "string. Fill it in the feature view, or declare Serving(runtime='python')."
        )
    return values.to_numpy(dtype=object).reshape(-1, 1)
