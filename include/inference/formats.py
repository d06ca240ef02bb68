"""The forms in which a model is kept, and how each becomes something that answers: docs/decisions/0009."""

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
# What skops may build beside what it knows to be harmless. It stands here, and not in the model's own
# files, as MLflow has it: a list that comes with the model protects nobody.
TRUSTED_TYPES = (
    "collections.OrderedDict",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "lightgbm.sklearn.LGBMRegressor",
    "numpy.dtype",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
)


def estimator_in(folder: Path, described: Mapping[str, Any]) -> Any:
    """
    Return what answers for the model in `folder`, as its MLmodel file describes it.

    Only for files that were checked before: a pickle runs what it finds.

    :raises CertificateInvalid: if it is a pickle, and AIRWORTHY_ALLOW_PICKLE says that none may be loaded
    :raises DataError: if the description names no form that is known
    """
    try:
        if described["metadata"]["airworthy"].get("runtime") == "onnx":
            return OnnxModel(folder / GRAPH)
        flavor = described["flavors"]["sklearn"]
        path, form = folder / flavor["pickled_model"], flavor["serialization_format"]
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{folder / 'MLmodel'} does not say in which form the model is: {error}.") from error
    if form == "skops":
        from skops.io import load

        return load(path, trusted=list(TRUSTED_TYPES))
    if form != "cloudpickle":
        raise DataError(f"{folder / 'MLmodel'}: a model in the form {form} cannot be loaded.")
    if not settings().allow_pickle:
        raise CertificateInvalid(
            f"{path} is a pickle, and AIRWORTHY_ALLOW_PICKLE is false here. "
            "Build the model of what skops can carry, or declare Serving(runtime='onnx')."
        )
    with path.open("rb") as file:
        return cloudpickle.load(file)
