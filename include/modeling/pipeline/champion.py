"""The champion in an evaluation: its package, and the candidate's test rows with its own features."""

from __future__ import annotations

import logging
import shutil
from typing import TYPE_CHECKING

from include.certificates.certificate import EVIDENCE, require_digest
from include.errors import DataError, DeclarationError, RunDeleted
from include.feature_values import require_complete
from include.inference.model import load_unverified
from include.modeling.evaluation.context import ChampionInput, PackagedModel
from include.modeling.pipeline.workspace import SEEN_ROWS, TWIN_SEEN_ROWS
from include.modeling.registry.load_version import load_version
from include.specifications import SPECIFICATION, certified_specification

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pandas as pd

    from include.certificates.certificate import Certificate
    from include.declarations.specification import Specification
    from include.modeling.pipeline.workspace import Workspace
    from include.modeling.registry.load_version import LoadedVersion

    # From a specification and test rows to the same rows with the features of that specification.
    ReadRows = Callable[[Specification, pd.DataFrame], pd.DataFrame]

log = logging.getLogger(__name__)


def load_champion(
    workspace: Workspace, version: int | None, test: pd.DataFrame, read_rows: ReadRows | None = None
) -> ChampionInput | None:
    """
    Return the verified champion with the rows that it predicts; None without a version.

    If its task, label or classes are not those of the candidate, its features do not exist any more, or the
    model that a refitted champion was judged by was deleted, it has no rows, and the problem is named.

    Parameters
    ----------
    workspace
        Workspace of the candidate.
    version
        Version of the champion.
    test
        Test rows of the candidate.
    read_rows
        Reads features that the test rows lack; without it, the rows must have all of them.

    Raises
    ------
    CertificateInvalid
        If files of the champion were exchanged.
    ServiceUnavailable
        If the registry, the tables or the disk failed.
    """
    if version is None:
        return None
    folder = workspace.workdir / "champion"
    loaded = load_version(
        workspace.registry, workspace.use_case.name, version, folder=folder, trusted=workspace.trusted
    )
    package = PackagedModel(folder, loaded.model)
    try:
        if loaded.certificate.refit:
            package = _load_before_refit(workspace, folder, loaded.certificate)
        rows = champion_rows(workspace.specification, loaded, test, read_rows)
    except (DataError, DeclarationError, RunDeleted) as error:
        problem = str(error).rstrip(".")
        log.warning("%s: champion %d cannot be compared: %s.", workspace.use_case.name, version, problem)
        return ChampionInput(version, package, None, problem)
    return ChampionInput(version, package, rows)


def _load_before_refit(workspace: Workspace, champion: Path, verified: Certificate) -> PackagedModel:
    """
    Return the model that a refitted champion was judged by: it did not learn from newer rows.

    The refitted model learnt from most test rows of the next candidates: it cannot be compared on them.
    """
    twin = workspace.workdir / "champion_twin"
    try:
        folder = workspace.registry.fetch_model(verified.refit["twin_model_id"], twin)
    except RunDeleted as error:
        raise RunDeleted(
            "it learnt from the test rows in its final refit, and the model before it is gone: "
            f"{error} It was logged by the run {verified.refit['twin_run_id']}"
        ) from error
    require_digest(folder, verified.refit["twin_digest"], f"the twin of {verified.use_case}'s champion")
    evidence = folder / EVIDENCE
    evidence.mkdir(exist_ok=True)
    shutil.copyfile(champion / EVIDENCE / TWIN_SEEN_ROWS, evidence / SEEN_ROWS)
    return PackagedModel(folder, load_unverified(folder))


def champion_rows(
    candidate: Specification, loaded: LoadedVersion, test: pd.DataFrame, read_rows: ReadRows | None = None
) -> pd.DataFrame:
    """
    Return the test rows of a candidate with the champion's own features.

    Raises
    ------
    DataError
        If the champion predicts something else, or its features do not exist.
    DeclarationError
        If an older champion has features that are not declared any more.
    """
    model = loaded.model
    certificate = loaded.certificate
    use_case = candidate.use_case
    specification = certified_specification(certificate.snapshot, use_case, model.features)
    problem = candidate.incomparable(specification)
    label = use_case.label.description
    if SPECIFICATION not in certificate.snapshot and certificate.label not in {"", label}:
        problem = f"the label was {certificate.label}, and is {label} now"
    if problem:
        raise DataError(problem)
    rows = read_rows(specification, test) if read_rows else test
    absent = [name for name in model.features if name not in rows]
    if absent:
        raise DataError(f"the rows lack its features {', '.join(absent)}")
    if model.interface.states_missing:
        require_complete(rows, model.columns)
    return rows
