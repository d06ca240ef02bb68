"""Serialization formats of a model, and how an estimator is loaded from each: docs/decisions/0009."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cloudpickle

from include.errors import CertificateInvalid, DataError
from include.inference.onnx_model import OnnxModel
from include.settings import settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

GRAPH = "model.onnx"
# Types that skops may construct in addition to those that it trusts itself. The list is part of our code.
# MLflow stores it with the model, where it could be altered together with the model.
TRUSTED_TYPES = (
    "collections.OrderedDict",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "lightgbm.sklearn.LGBMRegressor",
    "numpy.dtype",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
)


def load_estimator(folder: Path, mlmodel: Mapping[str, Any]) -> Any:
    """
    Return the estimator, or the ONNX graph, of a model whose files were verified before.

    Loading a pickle runs the code in it.

    Parameters
    ----------
    folder
        Folder of the model.
    mlmodel
        Content of its MLmodel file.

    Raises
    ------
    CertificateInvalid
        If the model is a pickle and AIRWORTHY_ALLOW_PICKLE is false.
    DataError
        If the MLmodel file names no known format.
    """
    try:
        if mlmodel["metadata"]["airworthy"].get("runtime") == "onnx":
            return OnnxModel(folder / GRAPH)
        flavor = mlmodel["flavors"]["sklearn"]
        path = folder / flavor["pickled_model"]
        serialization_format = flavor["serialization_format"]
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{folder / 'MLmodel'} does not name the format of the model: {error}.") from error
    if serialization_format == "skops":
        from skops.io import load

        return load(path, trusted=list(TRUSTED_TYPES))
    if serialization_format != "cloudpickle":
        raise DataError(
            f"{folder / 'MLmodel'}: models in the format {serialization_format} cannot be loaded."
        )
    if not settings().allow_pickle:
        raise CertificateInvalid(
            f"{path} is a pickle, and AIRWORTHY_ALLOW_PICKLE is false here. "
            "Build the model of types that skops supports, or declare Serving(runtime='onnx')."
        )
    with path.open("rb") as file:
        return cloudpickle.load(file)
