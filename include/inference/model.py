"""Loading a certified model without MLflow: its certificate is verified before anything of it runs."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
import yaml

from include.certificates import certificate
from include.errors import CertificateInvalid, DataError
from include.feature_values import DTYPES, estimator_array, estimator_frame, nullable_kind
from include.inference.decisions import DecisionRule
from include.inference.formats import load_estimator
from include.inference.predictions import raw_predictions, round_probabilities
from include.inference.twin.compiled import MAX_TWIN_ROWS, CompiledTwin, TwinRefusal, load_twin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from include.certificates.certificate import Certificate
    from include.feature_values import ColumnType

# Types whose values may be missing in packages that do not name their nullable features.
FORMERLY_NULLABLE = frozenset({"float", "double", "datetime"})
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Interface:
    """
    The use case and task of a model, its typed feature columns and its valid predictions.

    `classes` are those of a multiclass model as they stand in the data, `positive` is the class whose
    probability a binary model predicts. `decision` is how decisions follow from predictions; None
    if the model only predicts. `ignores_unknown` says whether a request may have further columns,
    `states_missing` whether the package names the features that may be missing.
    """

    use_case: str
    task: str
    columns: dict[str, ColumnType]
    prediction_range: tuple[float, float]
    classes: tuple[str | int, ...] = ()
    positive: str | None = None
    ignores_unknown: bool = False
    states_missing: bool = True
    decision: DecisionRule | None = None

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the feature columns, in the order of training."""
        return tuple(self.columns)


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model in memory: its estimator, its interface, and the compiled twin if there is one."""

    estimator: Any
    interface: Interface
    twin: CompiledTwin | None = None

    @property
    def columns(self) -> dict[str, ColumnType]:
        """Type of each feature column, by name."""
        return self.interface.columns

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the feature columns, in the order of training."""
        return self.interface.features

    @property
    def task(self) -> str:
        """Task of the model: binary, multiclass, regression or anomaly."""
        return self.interface.task

    @property
    def prediction_range(self) -> tuple[float, float]:
        """Smallest and largest valid prediction."""
        return self.interface.prediction_range

    @property
    def classes(self) -> tuple[str | int, ...]:
        """Classes of a multiclass model as they stand in the data, in the order of its probabilities."""
        return self.interface.classes

    @property
    def positive(self) -> str | None:
        """Class whose probability a binary model predicts."""
        return self.interface.positive

    @property
    def decision(self) -> DecisionRule | None:
        """How decisions follow from predictions; None if the model only predicts."""
        return self.interface.decision

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """
        Return the predictions for a frame with at least the feature columns (n rows).

        Returns
        -------
        np.ndarray
            Float64 array: values of a regression (n,), probabilities of class 1 of a binary model (n,),
            probabilities of all classes of a multiclass model (n, n_classes), or anomaly scores (n,).
        """
        return self.predictions_of(self.estimator, estimator_frame(frame, self.columns))

    def predictions_of(self, estimator: Any, rows: Any) -> np.ndarray:
        """Return what an estimator, such as the final step of the model, predicts for its input (n rows)."""
        output = raw_predictions(estimator, self.task, rows)
        if self.task in {"regression", "anomaly"}:
            return np.asarray(output, dtype=np.float64)
        probabilities = round_probabilities(output)
        return probabilities if self.task == "multiclass" else probabilities[:, 1]

    def predict_by_twin(self, columns: Mapping[str, Sequence[Any]], n_rows: int) -> np.ndarray | None:
        """Return the predictions of the compiled twin; None without one, or if it refuses the rows."""
        if self.twin is None or n_rows > MAX_TWIN_ROWS:
            return None
        try:
            return self.twin.predict(columns, n_rows)
        except TwinRefusal:
            return None

    def predict_columns(self, columns: Mapping[str, Sequence[Any]], n_rows: int) -> np.ndarray:
        """
        Return the predictions for the checked columns of requests, in which None is missing.

        The compiled twin predicts up to `MAX_TWIN_ROWS` rows, if there is one that does not refuse them.

        Returns
        -------
        np.ndarray
            As `predict`.
        """
        predictions = self.predict_by_twin(columns, n_rows)
        if predictions is not None:
            return predictions
        arrays = {name: estimator_array(columns[name], kind) for name, kind in self.columns.items()}
        return self.predict(pd.DataFrame(arrays, copy=False))


def load_model(folder: Path, trusted: Path, *, use_case: str | None = None) -> ServedModel:
    """
    Return the model in `folder` after its certificate was verified with the keys in `trusted`.

    Raises
    ------
    CertificateInvalid
        If the certificate is not valid, or is one of another use case. Nothing of the model was run then.
    DataError
        If the MLmodel file does not describe the model.
    """
    return load_verified(folder, certificate.verify_certificate(folder, trusted, use_case=use_case))


def load_verified(folder: Path, verified: Certificate) -> ServedModel:
    """
    Return the model in `folder`, whose certificate and files were verified just before.

    Raises
    ------
    CertificateInvalid
        If the model is one of another use case than the certificate.
    DataError
        If the MLmodel file does not describe the model.
    """
    interface = read_interface(folder)
    if interface.use_case != verified.use_case:
        raise CertificateInvalid(
            f"{folder} is a model of {interface.use_case}, certified for {verified.use_case}."
        )
    return load_unverified(folder)


def load_unverified(folder: Path) -> ServedModel:
    """Return the model in `folder`. Its files must have been verified: loading may run code in them."""
    interface = read_interface(folder)
    estimator = load_estimator(folder, _read_mlmodel(folder))
    return ServedModel(estimator, interface, _load_twin(folder, interface.task))


def _load_twin(folder: Path, task: str) -> CompiledTwin | None:
    """Return the compiled twin of a package; None without one, or if it cannot be loaded here."""
    try:
        return load_twin(folder, task)
    except Exception as error:  # noqa: BLE001  foreign packages, perhaps of other versions
        _log.warning("%s: the compiled twin is not used: %s: %s", folder, type(error).__name__, error)
        return None


def read_interface(folder: Path) -> Interface:
    """
    Return the interface of the model in `folder`; no code of the model is run.

    Raises
    ------
    DataError
        If its MLmodel file lacks the signature or Airworthy's metadata, or names unsupported column types.
    """
    mlmodel = _read_mlmodel(folder)
    try:
        inputs = json.loads(mlmodel["signature"]["inputs"])
        metadata = mlmodel["metadata"]["airworthy"]
        low, high = metadata["prediction_range"]
        interface = Interface(
            use_case=metadata["use_case"],
            task=metadata["task"],
            columns=_read_columns(inputs, metadata.get("nullable")),
            prediction_range=(float(low), float(high)),
            classes=tuple(metadata.get("classes", ())),
            positive=metadata.get("positive"),
            ignores_unknown=metadata.get("unknown_columns") == "ignore",
            states_missing="nullable" in metadata,
            decision=DecisionRule.read(metadata["decision"]) if metadata.get("decision") else None,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{folder / 'MLmodel'} lacks {error}: package the model with `packaging.package.save_package`."
        ) from error
    unsupported = sorted(set(interface.columns.values()) - set(DTYPES))
    if unsupported:
        raise DataError(f"{folder / 'MLmodel'}: columns of type {', '.join(unsupported)} cannot be served.")
    return interface


def _read_columns(inputs: list[dict[str, Any]], nullable: list[str] | None) -> dict[str, ColumnType]:
    """Return the type of each feature; in packages without `nullable`, numbers and times may be missing."""
    columns: dict[str, ColumnType] = {}
    for column in inputs:
        kind = cast("ColumnType", column["type"])
        is_nullable = kind in FORMERLY_NULLABLE if nullable is None else column["name"] in nullable
        columns[column["name"]] = nullable_kind(kind) if is_nullable else kind
    return columns


def _read_mlmodel(folder: Path) -> dict[str, Any]:
    try:
        return cast("dict[str, Any]", yaml.safe_load((folder / "MLmodel").read_text()))
    except (OSError, yaml.YAMLError) as error:
        raise DataError(f"{folder / 'MLmodel'} cannot be read: {error}. Fetch the version again.") from error
