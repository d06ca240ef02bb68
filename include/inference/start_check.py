"""Check of a model when its server starts: installed packages, and the golden rows' predictions."""

from __future__ import annotations

import json
import platform
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import numpy as np

from include.errors import ModelError
from include.inference import scoring_protocol
from include.inference.predictions import MAX_RELATIVE_GAP, prediction_gap
from include.inference.twin.compiled import FOLDER as TWIN

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt

    from include.declarations import Serving
    from include.inference.model import ServedModel
    from include.inference.scoring_protocol import Rows

GOLDEN = "golden.json"
NOT_INSTALLED = "not installed"
# Packages that an ONNX graph is run with.
ONNX_PACKAGES = frozenset({"python", "numpy", "pandas", "onnxruntime"})
# Models are loaded without MLflow, which smaller images lack.
NOT_SERVED = frozenset({"mlflow"})
REMEDY = "Install the packaged requirements, or train anew"


def check_packages(environment: Mapping[str, str], serving: Serving) -> tuple[str, ...]:
    """
    Return a warning if installed packages that predictions depend on are not those of the training.

    Parameters
    ----------
    environment
        Versions of packages in training, from the certificate.
    serving
        Declares the runtime, and whether a difference is refused or warned of.

    Raises
    ------
    ModelError
        If a difference is to be refused.
    """
    needed = (
        environment.keys() & ONNX_PACKAGES if serving.runtime == "onnx" else environment.keys() - NOT_SERVED
    )
    differences = package_differences({name: environment[name] for name in sorted(needed)})
    if not differences:
        return ()
    reason = f"packages are not those of the training: {', '.join(differences)}. {REMEDY}"
    return (_refuse_or_warn(reason, serving.other_packages),)


def with_checked_twin(folder: Path, model: ServedModel) -> tuple[ServedModel, tuple[str, ...]]:
    """
    Return a model without its compiled twin, and a warning, if the twin predicts the golden rows differently.

    A package that has a twin which cannot be loaded here is warned of, too.
    """
    if model.twin is None:
        is_missing = (folder / TWIN).exists()
        warning = "the compiled twin cannot be loaded with these packages, so that answers take longer"
        return model, ((warning,) if is_missing else ())
    if not (folder / GOLDEN).exists():
        return model, ()
    try:
        gap, allowed = _twin_gap(folder, model)
    except Exception as error:  # noqa: BLE001  foreign code, perhaps of another version
        problem = f"{type(error).__name__}: {error}"
    else:
        if gap <= allowed:
            return model, ()
        problem = f"its predictions of the golden rows differ by up to {gap:.3g}; {allowed:.3g} is rounding"
    return replace(model, twin=None), (f"the compiled twin is not used: {problem}",)


def _twin_gap(folder: Path, model: ServedModel) -> tuple[float, float]:
    """Return the largest difference of a twin on the golden rows, and the one that is allowed."""
    request, expected, _ = _read_golden_rows(folder, model)
    tolerance = float(model.twin.evidence.get("tolerance", MAX_RELATIVE_GAP)) if model.twin else 0.0
    predictions = model.predict_columns(request.columns, request.count)
    return prediction_gap(expected, predictions, allowed=tolerance * float(np.abs(expected).max(initial=0.0)))


def check_predictions(folder: Path, model: ServedModel, serving: Serving) -> tuple[str, ...]:
    """
    Return a warning if the golden rows of a package are not predicted as in training.

    Parameters
    ----------
    folder
        Folder of the verified model.
    model
        The loaded model.
    serving
        Declares whether a difference is refused or warned of.

    Raises
    ------
    ModelError
        If a difference is to be refused.
    """
    if not (folder / GOLDEN).exists():
        return ()
    try:
        rows, gap, allowed = packaging_parity(folder, model)
    except Exception as error:  # noqa: BLE001  a foreign estimator, perhaps of another version
        reason = f"the golden rows cannot be predicted: {type(error).__name__}: {error}. {REMEDY}"
        return (_refuse_or_warn(reason, serving.other_predictions),)
    if gap <= allowed:
        return ()
    reason = (
        f"predictions of {rows} golden rows differ from those of the training by up to {gap:.3g}; "
        f"{allowed:.3g} is rounding. {REMEDY}"
    )
    return (_refuse_or_warn(reason, serving.other_predictions),)


def package_differences(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the packages whose installed version is not the recorded one, with both versions."""
    installed = {name: present_version(name) for name in environment}
    return tuple(
        f"{name} {installed[name]} instead of {recorded}"
        for name, recorded in environment.items()
        if installed[name] != recorded
    )


def present_version(package: str) -> str:
    """Return the version of a package or of `python`; `not installed` without one."""
    if package == "python":
        return platform.python_version()
    try:
        return version(package)
    except PackageNotFoundError:
        return NOT_INSTALLED


def packaging_parity(folder: Path, model: ServedModel) -> tuple[int, float, float]:
    """
    Compare the predictions of `model` on the golden rows of `folder` with the recorded ones.

    The rows are parsed like those of a request.

    Returns
    -------
    tuple of int and two floats
        Number of rows, the largest absolute difference, and the one that is rounding; the first difference
        is the largest float if the predictions have another shape or are not finite.

    Raises
    ------
    DataError
        If serving would refuse the rows.
    """
    request, expected, tolerance = _read_golden_rows(folder, model)
    predictions = model.predict(scoring_protocol.frame([request], model.columns))
    return len(expected), *prediction_gap(expected, predictions, allowed=tolerance)


def _read_golden_rows(folder: Path, model: ServedModel) -> tuple[Rows, npt.NDArray[np.float64], float | None]:
    """Return the golden rows, parsed like a request, their predictions and the declared tolerance."""
    content = json.loads((folder / GOLDEN).read_text())
    body = json.dumps({"dataframe_split": content["dataframe_split"]}).encode()
    request = scoring_protocol.parse_request(body, "application/json", model.columns)
    return request, np.asarray(content["predictions"], dtype=np.float64), content.get("tolerance")


def _refuse_or_warn(reason: str, consequence: str) -> str:
    if consequence == "refuse":
        raise ModelError(f"{reason}.")
    return reason
