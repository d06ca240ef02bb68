"""Package a fitted model as an MLflow model folder, with golden rows that it must always answer alike."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import cloudpickle
import mlflow.sklearn
import numpy as np
import pandas as pd
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, Schema, TensorSpec

from include.catalog import module_of
from include.errors import CertificateInvalid, DataError
from include.modeling.certificate import digest
from include.modeling.evaluation import predict
from include.modeling.training import inputs
from include.serving import loading, protocol

if TYPE_CHECKING:
    from pathlib import Path

    from include.declarations import UseCase
    from include.serving.loading import ServedModel

__all__ = ["GOLDEN", "check", "digest", "load", "parity", "save"]

GOLDEN = "golden.json"
GOLDEN_ROWS = 50
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

    :raises DataError: naming a feature whose type no caller could send
    """
    sample = inputs(use_case, sample_frame)
    classifier = use_case.task == "classification"
    specs = [ColSpec(_type_of(use_case, sample[name]), name) for name in sample.columns]
    answer = TensorSpec(np.dtype("float64"), (-1, 2) if classifier else (-1,))
    about = {
        "use_case": use_case.name,
        "task": use_case.task,
        "features": list(use_case.features),
        "prediction_range": list(use_case.prediction_range),
    }
    module = module_of("use_cases", use_case.name)  # its own classes travel inside the pickle, by value
    cloudpickle.register_pickle_by_value(module)
    try:
        mlflow.sklearn.save_model(
            estimator,
            folder,
            mlflow_model=Model(utc_time_created="1970-01-01 00:00:00", model_uuid=None),
            serialization_format="cloudpickle",
            signature=ModelSignature(inputs=Schema(specs), outputs=Schema([answer])),
            pip_requirements=[f"{name}=={version(name)}" for name in REQUIREMENTS],
            pyfunc_predict_fn="predict_proba" if classifier else "predict",
            metadata={"airworthy": about},
        )
    finally:
        cloudpickle.unregister_pickle_by_value(module)
    filled = [spec.name for spec in specs if spec.type != DataType.double]  # JSON can leave out numbers only
    rows = sample.dropna(subset=filled).head(GOLDEN_ROWS)
    content = {
        "dataframe_split": {"columns": list(rows.columns), "data": _plain(rows)},
        "predictions": predict(estimator, use_case.task, rows).tolist(),
    }
    (folder / GOLDEN).write_text(json.dumps(content, default=str))


def check(folder: Path, expected: str) -> None:
    """
    Let pass the folder whose digest is `expected`.

    :raises CertificateInvalid: if the files are not those that were packaged
    """
    found = digest(folder)
    if found != expected:
        raise CertificateInvalid(
            f"{folder} has the digest {found}, but {expected} was packaged. Train the model in a new run."
        )


def load(folder: Path, *, expected: str) -> ServedModel:
    """
    Return the model in `folder`, which must have the digest `expected`: unpickling runs what it finds.

    This is for a candidate without a certificate; afterwards `include.serving.loading.load` is the way.

    :raises CertificateInvalid: if the files are not those that were packaged
    """
    check(folder, expected)
    return loading.unpack(folder)


def parity(folder: Path, model: ServedModel) -> tuple[int, float]:
    """
    Ask `model` the golden rows of `folder` as a caller would; return their number and the largest difference.

    :raises DataError: if serving would refuse the rows
    """
    content = json.loads((folder / GOLDEN).read_text())
    body = json.dumps({"dataframe_split": content["dataframe_split"]}).encode()
    rows = protocol.frame([protocol.parse(body, "application/json", model.columns)], model.columns)
    answers, expected = model.predict(rows), np.asarray(content["predictions"], dtype=np.float64)
    if answers.shape != expected.shape or not np.isfinite(answers).all():
        return len(expected), float(np.finfo(np.float64).max)
    return len(expected), float(np.max(np.abs(answers - expected), initial=0.0))


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


def _plain(rows: pd.DataFrame) -> list[list[Any]]:
    plain = rows.astype(object)
    values: list[list[Any]] = plain.where(plain.notna(), None).to_numpy().tolist()
    return values
