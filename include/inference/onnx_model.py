"""A model as an ONNX graph, which predicts without the library that it was trained with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from include.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

STRING = "tensor(string)"


class OnnxModel:
    """An ONNX graph with the prediction methods of a scikit-learn estimator."""

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # Many model servers share the cores of one machine.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session: Any = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        self._input_types = {node.name: node.type for node in self._session.get_inputs()}

    def predict_proba(self, frame: pd.DataFrame) -> np.ndarray:
        """Return the class probabilities in the precision of the graph, shape (n, n_classes)."""
        return np.asarray(self._run(frame)[-1])

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """Return the predicted values, float64 of shape (n,)."""
        return np.asarray(self._run(frame)[0], dtype=np.float64).reshape(len(frame))

    def _run(self, frame: pd.DataFrame) -> list[Any]:
        inputs = {name: _to_tensor(frame[name], kind) for name, kind in self._input_types.items()}
        outputs: list[Any] = self._session.run(None, inputs)
        return outputs


def _to_tensor(values: pd.Series[Any], kind: str) -> np.ndarray:
    """Return a column as an array of shape (n, 1): float32, or object for strings."""
    if kind != STRING:
        return values.to_numpy(dtype=np.float32, na_value=np.nan).reshape(-1, 1)
    n_missing = int(values.isna().sum())
    if n_missing:
        raise DataError(
            f"{n_missing} rows have no {values.name}, and ONNX has no missing string. "
            "Fill it in the feature view, or declare Serving(runtime='python')."
        )
    return values.to_numpy(dtype=object).reshape(-1, 1)
