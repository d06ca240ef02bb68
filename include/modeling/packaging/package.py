"""MLflow model folder of a fitted estimator, with golden rows whose predictions must not change."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow.sklearn
import numpy as np
from mlflow.models import Model, ModelSignature
from mlflow.models.model import MLMODEL_FILE_NAME
from mlflow.types import ColSpec, DataType, Schema, TensorSpec
from sklearn.linear_model import LogisticRegression

from include.certificates.certificate import model_digest, require_digest
from include.data.snapshots.target_encoding import TARGET
from include.errors import PackagingFailed
from include.feature_values import (
    base_kind,
    column_kind,
    estimator_frame,
    may_be_missing,
    request_values,
)
from include.inference import model as inference_model
from include.inference.baseline_table import BASELINE
from include.inference.formats import GRAPH, TRUSTED_TYPES
from include.inference.onnx_model import OnnxModel
from include.inference.predictions import MAX_SINGLE_GAP, prediction_method, raw_predictions
from include.inference.shapley import BACKGROUND
from include.inference.start_check import GOLDEN, packaging_parity
from include.inference.twin.compiled import FOLDER as TWIN
from include.modeling.evaluation.baseline import baseline_table
from include.modeling.evaluation.metrics import as_predictions, predict
from include.modeling.packaging.serialization import (
    export_onnx,
    needed_modules,
    own_modules,
    require_packaged,
    requirements,
    serialize,
)
from include.modeling.packaging.twin import package_twin
from include.modeling.training.fit import feature_columns

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    import pandas as pd

    from include.declarations import UseCase
    from include.feature_values import ColumnType
    from include.inference.decisions import DecisionRule
    from include.inference.model import ServedModel
    from include.modeling.packaging.serialization import SerializedEstimator

__all__ = [
    "GOLDEN",
    "golden_tolerance",
    "load_package",
    "model_digest",
    "packaging_parity",
    "save_package",
]

SOURCE = "code"
GOLDEN_ROWS = 50
BACKGROUND_ROWS = 100
COMPARED_ROWS = 2_000
BYTES_PER_MEGABYTE = 1e6
_log = logging.getLogger(__name__)
# An environment made by uv has no pip, which nothing here needs.
logging.getLogger("mlflow.utils.environment").addFilter(
    lambda record: "pip version" not in record.getMessage()
)
# Packages whose versions a certificate names.
REQUIREMENTS = ("scikit-learn", "pandas", "numpy", "cloudpickle", "mlflow")


def save_package(
    estimator: Any,
    use_case: UseCase,
    sample_frame: pd.DataFrame,
    folder: Path,
    *,
    kinds: Mapping[str, ColumnType] | None = None,
    decision: DecisionRule | None = None,
    test_frame: pd.DataFrame | None = None,
) -> None:
    """
    Write the MLflow model folder of `estimator`, with its compiled twin if it has one that agrees with it.

    The same estimator always gives the same bytes: no time and no random id is written.

    Parameters
    ----------
    estimator, use_case, sample_frame, folder
        Fitted estimator, its use case, and training rows with all features: golden rows (the first 50),
        background of explanations (100). The folder is created.
    kinds
        Type of each feature, and whether it may be missing; by default as in `sample_frame`.
    decision
        How decisions follow from predictions, where they are part of the answer.
    test_frame
        Further rows with all features on which the compiled twin must agree with the estimator.

    Raises
    ------
    DataError
        If a feature is missing, or has a type that no request can contain.
    DeclarationError, PackagingFailed
        If a module in `code` cannot be imported; if the model is too large, needs modules that are not
        packaged, or its ONNX graph differs from it.
    """
    typed = _packaged_kinds(use_case, kinds or _sampled_kinds(feature_columns(use_case, sample_frame)))
    sample = _complete_rows(use_case, sample_frame, typed)
    rows = sample.head(COMPARED_ROWS)
    serialized = serialize(estimator, use_case, rows)
    metadata = _metadata(use_case, serialized, typed, decision)
    _write_mlflow_folder(estimator, use_case, serialized, typed, metadata, folder)
    _copy_sources(use_case, folder / SOURCE)
    if use_case.serving.runtime == "onnx":
        _write_onnx_graph(estimator, use_case, rows, folder / GRAPH)
    if use_case.serving.compiled and use_case.serving.runtime == "python":
        _write_twin(estimator, use_case, typed, {"training": sample_frame, "test": test_frame}, folder)
    _write_golden_rows(estimator, use_case, rows.head(GOLDEN_ROWS), typed, folder)
    _write_background_rows(sample, typed, folder)
    _write_baseline(use_case, sample_frame, folder)
    _check_size(use_case, folder)


def load_package(folder: Path, *, expected: str) -> ServedModel:
    """
    Load the model in `folder` after a check of its digest, since unpickling runs code from the files.

    Use it for a candidate that has no certificate yet; `include.inference.model.load_model` loads certified
    models.

    Parameters
    ----------
    folder
        Folder that `save_package` wrote.
    expected
        Digest that the model must have.

    Raises
    ------
    CertificateInvalid
        If the files have another digest.
    """
    require_digest(folder, expected, "the packaged candidate")
    return inference_model.load_unverified(folder)


def golden_tolerance(folder: Path) -> float | None:
    """Return by how much predictions of the packaged model may differ from batch to batch, if by more."""
    path = folder / GOLDEN
    if not path.exists():
        return None
    tolerance = json.loads(path.read_text()).get("tolerance")
    return None if tolerance is None else float(tolerance)


def _write_mlflow_folder(
    estimator: Any,
    use_case: UseCase,
    serialized: SerializedEstimator,
    kinds: Mapping[str, ColumnType],
    metadata: Mapping[str, Any],
    folder: Path,
) -> None:
    shape = (-1, len(use_case.class_names)) if use_case.class_names else (-1,)
    columns = [
        ColSpec(DataType[base_kind(kind)], name, required=not may_be_missing(kind))
        for name, kind in kinds.items()
    ]
    output = TensorSpec(np.dtype("float64"), shape)
    modules = needed_modules(estimator, use_case)
    if serialized.form == "cloudpickle":
        require_packaged(modules, use_case)
    model = Model(utc_time_created="1970-01-01 00:00:00", model_uuid=None)
    mlflow.sklearn.save_model(
        # In place of the estimator, which is serialized already. It has the methods of all tasks.
        LogisticRegression(),
        folder,
        mlflow_model=model,
        serialization_format=serialized.form,
        skops_trusted_types=list(TRUSTED_TYPES) if serialized.form == "skops" else None,
        signature=ModelSignature(inputs=Schema(columns), outputs=Schema([output])),
        pip_requirements=requirements(modules, use_case),
        pyfunc_predict_fn=prediction_method(use_case.task),
        metadata={"airworthy": dict(metadata)},
    )
    (folder / model.flavors["sklearn"]["pickled_model"]).write_bytes(serialized.content)
    model.model_size_bytes = len(serialized.content)
    model.save(folder / MLMODEL_FILE_NAME)


def _metadata(
    use_case: UseCase,
    serialized: SerializedEstimator,
    kinds: Mapping[str, ColumnType],
    decision: DecisionRule | None,
) -> dict[str, Any]:
    rule = {} if decision is None else {"decision": decision.to_dict()}
    return rule | {
        "use_case": use_case.name,
        "task": use_case.task,
        "features": list(use_case.features),
        "nullable": [name for name, kind in kinds.items() if may_be_missing(kind)],
        "unknown_columns": use_case.serving.unknown_columns,
        "classes": list(use_case.label.classes) if use_case.task == "multiclass" else [],
        "positive": use_case.class_names[1] if use_case.task == "binary" else None,
        "prediction_range": list(use_case.prediction_range),
        "runtime": use_case.serving.runtime,
        "form": serialized.form,
        "why_no_skops": serialized.reason,
    }


def _complete_rows(use_case: UseCase, frame: pd.DataFrame, kinds: Mapping[str, ColumnType]) -> pd.DataFrame:
    """Return the features as an estimator gets them, of rows without values missing that may not be."""
    required = [name for name, kind in kinds.items() if not may_be_missing(kind)]
    return estimator_frame(feature_columns(use_case, frame), kinds).dropna(subset=required)


def _write_twin(
    estimator: Any,
    use_case: UseCase,
    kinds: Mapping[str, ColumnType],
    frames: Mapping[str, pd.DataFrame | None],
    folder: Path,
) -> None:
    """Write the compiled twin, unless the package would be larger than declared."""
    compared = {
        name: _complete_rows(use_case, frame, kinds).head(COMPARED_ROWS)
        for name, frame in frames.items()
        if frame is not None
    }
    reason = package_twin(estimator, use_case, kinds, compared, folder)
    if not reason and _megabytes(folder) > use_case.serving.maximum_megabytes:
        shutil.rmtree(folder / TWIN)
        reason = "with it, the package would be larger than serving.maximum_megabytes"
    if reason:
        _log.info("%s has no compiled twin: %s", use_case.name, reason)


def _write_onnx_graph(estimator: Any, use_case: UseCase, rows: pd.DataFrame, path: Path) -> None:
    path.write_bytes(export_onnx(estimator, use_case, rows))
    expected = predict(estimator, use_case.task, rows)
    actual = predict(OnnxModel(path), use_case.task, rows)
    difference = float(np.max(np.abs(actual - expected), initial=0.0))
    # `not <=` instead of `>`, so that NaN fails too.
    if not difference <= use_case.serving.tolerance:
        raise PackagingFailed(
            f"{use_case.name}: the ONNX graph differs from the model by up to {difference:.3g} on "
            f"{len(rows)} rows, and serving.tolerance is {use_case.serving.tolerance:g}. Declare "
            "Serving(runtime='python'), or another estimator."
        )


def _write_golden_rows(
    estimator: Any, use_case: UseCase, rows: pd.DataFrame, kinds: Mapping[str, ColumnType], folder: Path
) -> None:
    is_onnx = use_case.serving.runtime == "onnx"
    model = OnnxModel(folder / GRAPH) if is_onnx else estimator
    content: dict[str, Any] = _dataframe_split(rows, kinds)
    output = raw_predictions(model, use_case.task, rows)
    predictions = as_predictions(output, use_case.task)
    content["predictions"] = predictions.tolist()
    # In single precision, predictions of one row depend on the other rows of the batch.
    if is_onnx:
        content["tolerance"] = use_case.serving.tolerance
    elif output.dtype in (np.float32, np.float16):
        content["tolerance"] = MAX_SINGLE_GAP * float(np.abs(predictions).max(initial=0.0))
    (folder / GOLDEN).write_text(json.dumps(content, default=str))


def _write_background_rows(rows: pd.DataFrame, kinds: Mapping[str, ColumnType], folder: Path) -> None:
    background = rows.sample(min(BACKGROUND_ROWS, len(rows)), random_state=0)
    (folder / BACKGROUND).write_text(json.dumps(_dataframe_split(background, kinds), default=str))


def _write_baseline(use_case: UseCase, train: pd.DataFrame, folder: Path) -> None:
    """Write the baseline, which can answer callers when the model is switched off."""
    if use_case.task != "anomaly" and {TARGET, *use_case.baseline_by} <= set(train):
        (folder / BASELINE).write_text(json.dumps(baseline_table(use_case, train).as_json()))


def _copy_sources(use_case: UseCase, folder: Path) -> None:
    for module in own_modules(use_case):
        _copy_source(module, folder)


def _copy_source(module: ModuleType, folder: Path) -> None:
    """Copy the Python files of a module or package, so that people can read the code of the model."""
    file = getattr(module, "__file__", None)
    if file is None:
        return
    target = folder.joinpath(*module.__name__.split("."))
    if hasattr(module, "__path__"):
        shutil.copytree(Path(file).parent, target, ignore=lambda _, names: _other_files(names))
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target.with_suffix(".py"))


def _other_files(names: list[str]) -> set[str]:
    return {name for name in names if name == "__pycache__" or ("." in name and not name.endswith(".py"))}


def _check_size(use_case: UseCase, folder: Path) -> None:
    size = _megabytes(folder)
    if size > use_case.serving.maximum_megabytes:
        raise PackagingFailed(
            f"{use_case.name}: the packaged model has {size:.1f} MB, and serving.maximum_megabytes is "
            f"{use_case.serving.maximum_megabytes:g}. Train a smaller model, or declare more."
        )


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*")) / BYTES_PER_MEGABYTE


def _sampled_kinds(sample: pd.DataFrame) -> dict[str, ColumnType]:
    return {str(name): column_kind(sample[name]) for name in sample}


def _packaged_kinds(use_case: UseCase, kinds: Mapping[str, ColumnType]) -> dict[str, ColumnType]:
    """Return the types of the features in their order; ONNX has no missing text, so none may be missing."""
    is_onnx = use_case.serving.runtime == "onnx"
    typed = {name: kinds[name] for name in use_case.features}
    return {name: "string" if is_onnx and kind == "string?" else kind for name, kind in typed.items()}


def _dataframe_split(rows: pd.DataFrame, kinds: Mapping[str, ColumnType]) -> dict[str, Any]:
    columns = [request_values(rows[name], kinds[name]) for name in rows.columns]
    values = [list(row) for row in zip(*columns, strict=True)]
    return {"dataframe_split": {"columns": list(rows.columns), "data": values}}
