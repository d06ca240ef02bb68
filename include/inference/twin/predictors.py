"""Predictors of a compiled twin: trees by Treelite, linear models by NumPy, other estimators by ONNX."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]


class Predictor(Protocol):
    """Returns predictions from a matrix of the encoder."""

    def predict(self, matrix: Matrix) -> Matrix:
        """Return values or probabilities of class 1 (n, 1), or probabilities of all classes (n, k)."""
        ...


class TreePredictor:
    """
    An ensemble of decision trees, in Treelite's general inference.

    With a link, its scores are transformed here, since Treelite does it in single precision: by `softmax` to
    the probabilities of classes, or by `isolation` to an anomaly score.
    """

    def __init__(self, content: bytes, parameters: Mapping[str, Any]) -> None:
        import treelite

        self._model = treelite.Model.deserialize_bytes(zlib.decompress(content))
        self._predict = treelite.gtil.predict
        self._link = str(parameters.get("link", ""))
        self._depth = float(parameters.get("depth", 1.0))
        self._offset = float(parameters.get("offset", 0.0))

    def predict(self, matrix: Matrix) -> Matrix:
        """Return the outputs of the ensemble, shape (n, k)."""
        # One thread: many model servers share the cores of one machine.
        output = self._predict(self._model, matrix, nthread=1, pred_margin=bool(self._link))
        values = np.asarray(output, dtype=np.float64).reshape(len(matrix), -1)
        if self._link == "isolation":
            return np.asarray(np.exp2(-values / self._depth) + self._offset)
        return _softmax(values) if self._link else values


class LinearPredictor:
    """A linear or logistic regression."""

    def __init__(self, content: bytes, parameters: Mapping[str, Any]) -> None:
        weights = np.frombuffer(content, dtype=np.float64)
        self._intercept = weights[: parameters["n_outputs"]]
        self._coefficients = weights[parameters["n_outputs"] :].reshape(parameters["n_outputs"], -1).T
        self._link = str(parameters["link"])

    def predict(self, matrix: Matrix) -> Matrix:
        """Return values (n, 1), the probability of class 1 (n, 1), or probabilities of all classes (n, k)."""
        scores = matrix @ self._coefficients + self._intercept
        if self._link == "identity":
            return scores
        if self._link == "softmax":
            return _softmax(scores)
        with np.errstate(over="ignore"):
            return np.asarray(1.0 / (1.0 + np.exp(-scores)))


class OnnxPredictor:
    """A graph of the final estimator, which computes in single precision."""

    def __init__(self, content: bytes, parameters: Mapping[str, Any]) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session: Any = onnxruntime.InferenceSession(
            content, options, providers=["CPUExecutionProvider"]
        )
        self._output = int(parameters["output"])
        self._input = self._session.get_inputs()[0].name

    def predict(self, matrix: Matrix) -> Matrix:
        """Return values (n, 1), or probabilities of all classes (n, k)."""
        outputs = self._session.run(None, {self._input: matrix.astype(np.float32)})
        return np.asarray(outputs[self._output], dtype=np.float64).reshape(len(matrix), -1)


def _softmax(scores: Matrix) -> Matrix:
    """Return the probabilities of the classes, shape (n, k), from their scores."""
    exponents = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True))


PREDICTORS: dict[str, type[TreePredictor | LinearPredictor | OnnxPredictor]] = {
    "treelite": TreePredictor,
    "linear": LinearPredictor,
    "onnx": OnnxPredictor,
}
