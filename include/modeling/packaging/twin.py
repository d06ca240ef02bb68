"""Compilation of a model's twin, and its comparison with the estimator."""

from __future__ import annotations

import shutil
import zlib
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from include.feature_values import request_values
from include.inference.predictions import MAX_RELATIVE_GAP, prediction_gap
from include.inference.twin import compiled
from include.inference.twin.compiled import TwinRefusal, load_twin, write_twin
from include.modeling.evaluation.metrics import predict
from include.modeling.packaging.adversarial_rows import adversarial_frames
from include.modeling.packaging.twin_encoder import NoTwin, compile_encoder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    import numpy.typing as npt

    from include.declarations import UseCase
    from include.feature_values import ColumnType
    from include.inference.twin.compiled import CompiledTwin

# Modules of estimators that round what they get to single precision.
SINGLE_PRECISION = (
    "sklearn.ensemble._forest",
    "sklearn.ensemble._gb",
    "sklearn.ensemble._iforest",
    "sklearn.tree",
)
# Rows in one call, fewer than those that a twin answers.
BATCH_ROWS = 500
COMPRESSION = 6
Files = tuple[str, bytes, dict[str, Any]]
Columns = dict[str, list[Any]]


def package_twin(
    estimator: Any,
    use_case: UseCase,
    kinds: Mapping[str, ColumnType],
    frames: Mapping[str, pd.DataFrame],
    folder: Path,
) -> str:
    """
    Write the compiled twin of an estimator into its package, if it has one that agrees with it.

    Parameters
    ----------
    estimator
        Fitted estimator.
    use_case
        Use case of the estimator.
    kinds
        Type of each feature.
    frames
        Rows to compare, as an estimator gets them, by a name such as `training`; adversarial ones are added
        to the first.
    folder
        Package of the model.

    Returns
    -------
    str
        Why there is no twin; empty with one.
    """
    steps, final = _split_pipeline(estimator)
    is_single = type(final).__module__.startswith(SINGLE_PRECISION)
    try:
        encoder = compile_encoder(steps, kinds, is_single=is_single)
        kind, content, parameters = _compile_final(final, use_case.task, encoder.columns)
        write_twin(folder, kind, encoder, content, parameters)
        is_exact = kind != "onnx" and not type(final).__module__.startswith("xgboost")
        evidence = _compare_with_estimator(estimator, use_case, kinds, frames, folder, is_exact=is_exact)
    except NoTwin as error:
        shutil.rmtree(folder / compiled.FOLDER, ignore_errors=True)
        return str(error)
    # A transformer or an estimator of an unusual form; the package is complete without a twin.
    except Exception as error:  # noqa: BLE001  foreign estimators
        shutil.rmtree(folder / compiled.FOLDER, ignore_errors=True)
        return f"{type(error).__name__}: {error}"
    compiled.add_evidence(folder, evidence)
    return ""


def _split_pipeline(estimator: Any) -> tuple[list[Any], Any]:
    """Return the transformers and the final estimator of a pipeline, which may be nested."""
    if type(estimator).__name__ != "Pipeline":
        return [], estimator
    *steps, (_, last) = estimator.steps
    inner, final = _split_pipeline(last)
    return [step for _, step in steps if step not in (None, "passthrough")] + inner, final


def _compile_final(final: Any, task: str, columns: Iterable[Any]) -> Files:
    """Return the kind, the content and the parameters of the predictor of an estimator."""
    module = type(final).__module__
    if module.startswith("lightgbm"):
        import treelite

        return _tree_files(treelite.frontend.from_lightgbm(final.booster_), _softmax_of(task))
    if module.startswith("xgboost"):
        import treelite

        return _tree_files(treelite.frontend.from_xgboost(final.get_booster()), _softmax_of(task))
    if module.startswith("sklearn.ensemble"):
        import treelite

        try:
            model = treelite.sklearn.import_model(final)
        except (treelite.TreeliteError, NotImplementedError, ValueError, TypeError) as error:
            raise NoTwin(f"Treelite does not import {type(final).__name__}: {error}") from error
        if task == "anomaly":
            return _tree_files(model, {"link": "isolation", **_isolation_scale(final)})
        # The trees of a forest vote with probabilities.
        return _tree_files(model, {} if module == "sklearn.ensemble._forest" else _softmax_of(task))
    if module.startswith("sklearn.linear_model"):
        return _linear_files(final, task)
    if task == "anomaly":
        raise NoTwin(f"{type(final).__name__} has no equivalent for anomalies")
    return _onnx_files(final, task, sum(getattr(column, "width", 1) for column in columns))


def _tree_files(model: Any, parameters: dict[str, Any]) -> Files:
    return "treelite", zlib.compress(model.serialize_bytes(), COMPRESSION), parameters


def _isolation_scale(final: Any) -> dict[str, float]:
    """Return what turns the mean depth of a row into its anomaly score (Liu, Ting, Zhou 2008)."""
    # scikit-learn has no public name for the normalization.
    from sklearn.ensemble._iforest import _average_path_length

    depth = float(_average_path_length([final._max_samples])[0])
    return {"depth": depth, "offset": float(final.offset_)}


def _softmax_of(task: str) -> dict[str, Any]:
    return {"link": "softmax"} if task == "multiclass" else {}


def _linear_files(final: Any, task: str) -> Files:
    try:
        coefficients = np.atleast_2d(np.asarray(final.coef_, dtype=np.float64))
        intercepts = np.broadcast_to(np.asarray(final.intercept_, dtype=np.float64), len(coefficients))
    except (AttributeError, ValueError) as error:
        raise NoTwin(f"{type(final).__name__} is no linear model: {error}") from error
    link = {"regression": "identity", "binary": "sigmoid", "multiclass": "softmax"}.get(task)
    if link is None:
        raise NoTwin(f"{type(final).__name__} has no equivalent for the task {task}")
    content = np.concatenate((intercepts, coefficients.ravel())).tobytes()
    return "linear", content, {"n_outputs": len(coefficients), "link": link}


def _onnx_files(final: Any, task: str, n_columns: int) -> Files:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    options = {"zipmap": False} if task != "regression" else None
    inputs = [("matrix", FloatTensorType([None, n_columns]))]
    try:
        content = to_onnx(final, initial_types=inputs, options=options).SerializeToString()
    # skl2onnx has no common error for what it cannot convert.
    except Exception as error:
        raise NoTwin(f"{type(final).__name__} cannot be converted to ONNX: {type(error).__name__}") from error
    return "onnx", content, {"output": 0 if task == "regression" else 1}


def _compare_with_estimator(
    estimator: Any,
    use_case: UseCase,
    kinds: Mapping[str, ColumnType],
    frames: Mapping[str, pd.DataFrame],
    folder: Path,
    *,
    is_exact: bool,
) -> dict[str, Any]:
    """
    Return the largest relative difference, the tolerance and the numbers of rows that were compared.

    Raises
    ------
    NoTwin
        If the twin and its estimator differ by more, or only one of them refuses rows.
    """
    twin = load_twin(folder, use_case.task)
    if twin is None:
        raise NoTwin("there are no files")
    tolerance = MAX_RELATIVE_GAP if is_exact else use_case.serving.tolerance
    largest = 0.0
    counts: Counter[str] = Counter()
    for name, columns, n_rows, expected in _compared_rows(estimator, use_case, kinds, frames):
        counts[name] += n_rows
        largest = max(largest, _require_agreement(twin, columns, expected, n_rows, (name, tolerance)))
    return {"largest_gap": largest, "tolerance": tolerance, "rows": dict(counts)}


def _compared_rows(
    estimator: Any,
    use_case: UseCase,
    kinds: Mapping[str, ColumnType],
    frames: Mapping[str, pd.DataFrame],
) -> Iterator[tuple[str, Columns, int, npt.NDArray[np.float64] | None]]:
    """
    Yield the name of a frame, rows as columns of a request, their number, and what the estimator predicts.

    The last is None if it refuses the rows.
    """
    for name, frame in frames.items():
        for start in range(0, len(frame), BATCH_ROWS):
            rows = frame.iloc[start : start + BATCH_ROWS]
            yield name, _as_columns(rows, kinds), len(rows), _predict_or_refuse(estimator, use_case, rows)
    variants: dict[tuple[Any, ...], list[pd.DataFrame]] = {}
    for rows in adversarial_frames(next(iter(frames.values())), kinds):
        variants.setdefault(tuple(rows.dtypes), []).append(rows)
    for alike in variants.values():
        together = pd.concat(alike)
        all_columns = _as_columns(together, kinds)
        predictions = _predict_or_refuse(estimator, use_case, together)
        end = 0
        for rows in alike:
            start = end
            end += len(rows)
            columns = {column: values[start:end] for column, values in all_columns.items()}
            if predictions is None:
                # The estimator refuses some of the rows.
                yield "adversarial", columns, len(rows), _predict_or_refuse(estimator, use_case, rows)
            else:
                yield "adversarial", columns, len(rows), predictions[start:end]


def _as_columns(rows: pd.DataFrame, kinds: Mapping[str, ColumnType]) -> Columns:
    """Return rows as the columns of a request."""
    return {column: request_values(rows[column], kind) for column, kind in kinds.items()}


def _require_agreement(
    twin: CompiledTwin,
    columns: Mapping[str, list[Any]],
    expected: npt.NDArray[np.float64] | None,
    n_rows: int,
    against: tuple[str, float],
) -> float:
    """Return the largest difference of a twin on some rows, as a part of the largest prediction."""
    name, tolerance = against
    try:
        predictions = twin.predict(columns, n_rows)
    except TwinRefusal:
        # The estimator answers these, or refuses them too.
        return 0.0
    if expected is None:
        raise NoTwin(f"the estimator refuses {name} rows that the twin answers")
    scale = max(float(np.abs(expected).max(initial=0.0)), np.finfo(np.float64).tiny)
    gap, _ = prediction_gap(expected, predictions)
    if not gap <= tolerance * scale:
        raise NoTwin(f"the twin differs by {gap:.3g} on {name} rows, and {tolerance:g} is the tolerance")
    return gap / scale


def _predict_or_refuse(
    estimator: Any, use_case: UseCase, rows: pd.DataFrame
) -> npt.NDArray[np.float64] | None:
    """Return the predictions of the estimator; None if it refuses the rows."""
    try:
        return predict(estimator, use_case.task, rows)
    except Exception:  # noqa: BLE001  a foreign estimator, on values that it may not accept
        return None
