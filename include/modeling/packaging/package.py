"""Package a fitted model as an MLflow model folder, with golden rows that it must always answer alike."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow.sklearn
import numpy as np
import pandas as pd
import yaml
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, Schema, TensorSpec

from include.certificates.certificate import model_digest
from include.errors import CertificateInvalid, DataError
from include.inference import model as loading
from include.inference import scoring_protocol
from include.inference.formats import GRAPH, TRUSTED_TYPES
from include.inference.onnx_model import OnnxModel
from include.modeling.evaluation.metrics import predict
from include.modeling.packaging.serialization import by_value, export, own_modules, requirements, serialize
from include.modeling.training.fit import feature_columns

if TYPE_CHECKING:
    from types import ModuleType

    from include.declarations import UseCase
    from include.inference.model import ServedModel
    from include.modeling.packaging.serialization import Serialized

__all__ = [
    "BACKGROUND",
    "GOLDEN",
    "load_package",
    "model_digest",
    "packaging_parity",
    "require_model_digest",
    "save",
]

GOLDEN, BACKGROUND, SOURCE = "golden.json", "background.json", "code"
GOLDEN_ROWS, BACKGROUND_ROWS, COMPARED_ROWS = 50, 100, 2_000
REQUIREMENTS = ("scikit-learn", "pandas", "numpy", "cloudpickle", "mlflow")
DTYPES = {
    DataType.long: "int64",
    DataType.double: "float64",
    DataType.boolean: "bool",
    DataType.string: "object",
}


def save(estimator: Any, use_case: UseCase, sample_frame: pd.DataFrame, folder: Path) -> None:
    """
    Write the MLflow model folder of `estimator`; `sample_frame` gives the columns' types and the golden rows.

    The same estimator always becomes the same bytes: no clock and no random id goes in.

    :raises DataError: naming a feature whose type no caller could send; if the model is larger than declared;
        or if the ONNX graph that was declared does not answer as the estimator does
    """
    sample = feature_columns(use_case, sample_frame)
    specs = [ColSpec(_type_of(use_case, sample[name]), name) for name in sample.columns]
    filled = [spec.name for spec in specs if spec.type != DataType.double]  # JSON can leave out numbers only
    rows = sample.dropna(subset=filled).head(COMPARED_ROWS)
    kept = serialize(estimator, use_case, rows)
    about = {
        "use_case": use_case.name,
        "task": use_case.task,
        "features": list(use_case.features),
        "classes": list(use_case.label.classes),
        "prediction_range": list(use_case.prediction_range),
        "runtime": use_case.serving.runtime,
        "form": kept.form,
        "why_no_skops": kept.reason,
    }
    _write_mlflow_folder(estimator, use_case, kept, specs, about, folder)
    for module in own_modules(use_case):
        _add_source(module, folder / SOURCE)
    if use_case.serving.runtime == "onnx":
        _add_graph(estimator, use_case, rows, folder / GRAPH)
    answering = estimator if use_case.serving.runtime == "python" else OnnxModel(folder / GRAPH)
    golden = rows.head(GOLDEN_ROWS)
    answers: dict[str, Any] = {"predictions": predict(answering, use_case.task, golden).tolist()}
    if use_case.serving.runtime == "onnx":  # in single precision a row alone differs from one among others
        answers["tolerance"] = use_case.serving.tolerance
    (folder / GOLDEN).write_text(json.dumps(_split(golden) | answers, default=str))
    background = sample.sample(min(BACKGROUND_ROWS, len(sample)), random_state=0)
    (folder / BACKGROUND).write_text(json.dumps(_split(background), default=str))
    _check_size(use_case, folder)


def require_model_digest(folder: Path, expected: str) -> None:
    """
    Let pass the folder whose digest is `expected`.

    :raises CertificateInvalid: if the files are not those that were packaged
    """
    found = model_digest(folder)
    if found != expected:
        raise CertificateInvalid(
            f"{folder} has the digest {found}, but {expected} was packaged. Train the model in a new run."
        )


def load_package(folder: Path, *, expected: str) -> ServedModel:
    """
    Return the model in `folder`, which must have the digest `expected`: unpickling runs what it finds.

    This is for a candidate without a certificate; afterwards `include.inference.model.load_model` is the way.

    :raises CertificateInvalid: if the files are not those that were packaged
    """
    require_model_digest(folder, expected)
    return loading.load_unverified(folder)


def packaging_parity(folder: Path, model: ServedModel) -> tuple[int, float]:
    """
    Ask `model` the golden rows of `folder` as a caller would; return their number and the largest difference.

    :raises DataError: if serving would refuse the rows
    """
    content = json.loads((folder / GOLDEN).read_text())
    body = json.dumps({"dataframe_split": content["dataframe_split"]}).encode()
    rows = scoring_protocol.frame(
        [scoring_protocol.parse_request(body, "application/json", model.columns)], model.columns
    )
    answers, expected = model.predict(rows), np.asarray(content["predictions"], dtype=np.float64)
    if answers.shape != expected.shape or not np.isfinite(answers).all():
        return len(expected), float(np.finfo(np.float64).max)
    return len(expected), float(np.max(np.abs(answers - expected), initial=0.0))


def _write_mlflow_folder(
    estimator: Any,
    use_case: UseCase,
    kept: Serialized,
    specs: list[ColSpec],
    about: dict[str, Any],
    folder: Path,
) -> None:
    classifier = use_case.task != "regression"
    answer = TensorSpec(np.dtype("float64"), (-1, len(use_case.label.classes) or 2) if classifier else (-1,))
    needed = requirements(estimator, use_case)
    with by_value(own_modules(use_case)):
        mlflow.sklearn.save_model(
            estimator,
            folder,
            mlflow_model=Model(utc_time_created="1970-01-01 00:00:00", model_uuid=None),
            serialization_format=kept.form,
            skops_trusted_types=list(TRUSTED_TYPES) if kept.form == "skops" else None,
            signature=ModelSignature(inputs=Schema(specs), outputs=Schema([answer])),
            pip_requirements=needed,
            pyfunc_predict_fn="predict_proba" if classifier else "predict",
            metadata={"airworthy": about},
        )
    described = yaml.safe_load((folder / "MLmodel").read_text())
    (folder / described["flavors"]["sklearn"]["pickled_model"]).write_bytes(kept.content)


def _add_graph(estimator: Any, use_case: UseCase, rows: pd.DataFrame, path: Path) -> None:
    path.write_bytes(export(estimator, use_case, rows))
    found, expected = (predict(each, use_case.task, rows) for each in (OnnxModel(path), estimator))
    gap, allowed = float(np.max(np.abs(found - expected), initial=0.0)), use_case.serving.tolerance
    if not gap <= allowed:
        raise DataError(
            f"{use_case.name}: the ONNX graph differs from the model by up to {gap:.3g} on {len(rows)} rows, "
            f"and serving.tolerance is {allowed:g}. Declare Serving(runtime='python'), or another estimator."
        )


def _add_source(module: ModuleType, folder: Path) -> None:
    """Copy the text of a module or package for whoever wants to read what the model is made of."""
    file = getattr(module, "__file__", None)
    if file is None:
        return
    target = folder.joinpath(*module.__name__.split("."))
    if hasattr(module, "__path__"):
        shutil.copytree(Path(file).parent, target, ignore=lambda _, names: _without_source(names))
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target.with_suffix(".py"))


def _without_source(names: list[str]) -> set[str]:
    return {name for name in names if name == "__pycache__" or ("." in name and not name.endswith(".py"))}


def _check_size(use_case: UseCase, folder: Path) -> None:
    size = sum(path.stat().st_size for path in folder.rglob("*")) / 1e6
    if size > use_case.serving.maximum_megabytes:
        raise DataError(
            f"{use_case.name}: the packaged model has {size:.1f} MB, and serving.maximum_megabytes is "
            f"{use_case.serving.maximum_megabytes:g}. Train a smaller one, or declare more."
        )


def _type_of(use_case: UseCase, column: pd.Series[Any]) -> DataType:
    kinds = {
        DataType.boolean: pd.api.types.is_bool_dtype,
        DataType.long: pd.api.types.is_integer_dtype,
        DataType.double: pd.api.types.is_float_dtype,
        DataType.datetime: pd.api.types.is_datetime64_any_dtype,
        DataType.string: pd.api.types.is_string_dtype,
    }
    found = next((kind for kind, fits in kinds.items() if fits(column)), None)
    if found is None and all(isinstance(value, str) for value in column.dropna()):
        found = DataType.string
    if found is None:
        raise DataError(
            f"{use_case.name}: no caller could send the feature {column.name} of type {column.dtype}. "
            f"Declare it as string, integer, number, boolean or timestamp in {use_case.feature_view}."
        )
    return found


def _split(rows: pd.DataFrame) -> dict[str, Any]:
    plain = rows.astype(object)
    values: list[list[Any]] = plain.where(plain.notna(), None).to_numpy().tolist()
    return {"dataframe_split": {"columns": list(rows.columns), "data": values}}
