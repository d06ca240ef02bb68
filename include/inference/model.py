"""Load a certified model without MLflow: the certificate first, and only then the model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import yaml

from include.certificates import certificate
from include.errors import CertificateInvalid, DataError
from include.inference.formats import estimator_in

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

ColumnType = Literal["boolean", "integer", "long", "float", "double", "string", "datetime"]
DTYPES: dict[str, str] = {
    "boolean": "bool", "integer": "int32", "long": "int64", "float": "float32", "double": "float64",
    "string": "object", "datetime": "datetime64[ns, UTC]",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Interface:
    """What goes into a model, what comes out, and for whom it was made."""

    use_case: str
    task: str
    columns: dict[str, ColumnType]
    prediction_range: tuple[float, float]
    classes: tuple[str, ...] = ()

    @property
    def features(self) -> tuple[str, ...]:
        """The columns' names, in the order of training."""
        return tuple(self.columns)


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A certified model in memory."""

    estimator: Any
    interface: Interface

    @property
    def columns(self) -> dict[str, ColumnType]:
        """The type of every feature, by name."""
        return self.interface.columns

    @property
    def features(self) -> tuple[str, ...]:
        """The columns' names, in the order of training."""
        return self.interface.features

    @property
    def task(self) -> str:
        """Classification, multiclass or regression."""
        return self.interface.task

    @property
    def prediction_range(self) -> tuple[float, float]:
        """The lowest and the highest prediction that makes sense."""
        return self.interface.prediction_range

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes of a multiclass model, in the order of their probabilities."""
        return self.interface.classes

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """Return one float per row, the probability of class 1 or the value; of several classes one each."""
        rows = frame[list(self.features)]
        if self.task == "regression":
            return np.asarray(self.estimator.predict(rows), dtype=np.float64)
        answers = np.asarray(self.estimator.predict_proba(rows), dtype=np.float64)
        return answers if self.task == "multiclass" else answers[:, 1]


def load_model(folder: Path, trusted: Path, *, use_case: str | None = None) -> ServedModel:
    """
    Return the model in `folder`, if its certificate holds.

    :raises CertificateInvalid: before anything of the model is run
    :raises DataError: if it does not say what goes in and what comes out
    """
    about = certificate.verify_certificate(folder, trusted, use_case=use_case)
    interface = read_interface(folder)
    if interface.use_case != about.use_case:
        raise CertificateInvalid(
            f"{folder} is a model of {interface.use_case}, certified for {about.use_case}."
        )
    return load_unverified(folder)


def load_unverified(folder: Path) -> ServedModel:
    """Return the model in `folder`, whose files were checked before: loading may run what it finds."""
    interface = read_interface(folder)
    return ServedModel(estimator_in(folder, _described(folder)), interface)


def read_interface(folder: Path) -> Interface:
    """
    Return what the model in `folder` says of itself, running nothing of it.

    :raises DataError: if its MLmodel file lacks the signature or Airworthy's metadata
    """
    described = _described(folder)
    try:
        inputs = json.loads(described["signature"]["inputs"])
        about = described["metadata"]["airworthy"]
        low, high = about["prediction_range"]
        columns = {column["name"]: cast("ColumnType", column["type"]) for column in inputs}
        interface = Interface(
            about["use_case"], about["task"], columns, (float(low), float(high)),
            tuple(about.get("classes", ())),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{folder / 'MLmodel'} lacks {error}: package the model with `packaging.package.save_package`."
        ) from error
    if unknown := sorted(set(columns.values()) - set(DTYPES)):
        raise DataError(f"{folder / 'MLmodel'}: columns of type {', '.join(unknown)} cannot be served.")
    return interface


def _described(folder: Path) -> dict[str, Any]:
    try:
        return cast("dict[str, Any]", yaml.safe_load((folder / "MLmodel").read_text()))
    except (OSError, yaml.YAMLError) as error:
        raise DataError(f"{folder / 'MLmodel'} cannot be read: {error}. Fetch the version again.") from error
