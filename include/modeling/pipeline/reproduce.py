"""Reproduction of a registered version from its certificate, and its differences from what was certified."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from jinja2 import Environment

from include.certificates.certificate import EVIDENCE, file_digests, model_digest
from include.data.snapshots.snapshot import Snapshot, read_snapshot
from include.errors import AirworthyError, NotReproduced, ServiceUnavailable
from include.feature_values import specified_kinds
from include.inference.model import load_unverified, read_interface
from include.modeling.packaging.package import GOLDEN, save_package
from include.modeling.pipeline.decision import packaged_rule
from include.modeling.pipeline.input_changes import declared_changes, input_changes, recorded_inputs
from include.modeling.pipeline.workspace import split_snapshot
from include.modeling.registry.load_version import load_version
from include.modeling.registry.registry import as_tags
from include.modeling.training.build import build_estimator
from include.modeling.training.fit import fit_candidate
from include.modeling.training.refit import fit_on_all
from include.specifications import certified_specification

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy.typing as npt

    from include.certificates.certificate import Certificate
    from include.data.lake.delta_tables import Lake
    from include.declarations import UseCase
    from include.declarations.specification import Specification
    from include.modeling.pipeline.input_changes import Change
    from include.modeling.pipeline.workspace import Workspace
    from include.modeling.registry.load_version import LoadedVersion

    Predictions = npt.NDArray[np.float64]

JSON = "reproduction.json"
MARKDOWN = "reproduction.md"
MAX_TAG_LENGTH = 5_000
ReproductionOutcome = Literal["identical", "equal", "different", "impossible"]
MEANINGS = {
    "identical": "the model is the same, byte by byte",
    "equal": "every prediction is bit-equal, though the model's files are not",
    "different": "the reproduced model predicts differently",
    "impossible": "it could not be reproduced",
}
PAGE = """\
# {{ result.use_case }} version {{ result.version }}, reproduced

**{{ result.outcome | capitalize }}**: {{ meaning }}.{{ " " ~ result.problem if result.problem }}

| predictions | rows | differing | share | largest difference |
|---|---|---|---|---|
{% for name, difference in differences %}
| {{ name }} | {{ "{:,}".format(difference.rows) }} | {{ "{:,}".format(difference.differing) }} | \
{{ "{:.2%}".format(difference.share) }} | {{ "{:.3g}".format(difference.largest) }} |
{% endfor %}

| changed since | then | now |
|---|---|---|
{% for change in result.changes %}
| {{ change.what }} | {{ change.then }} | {{ change.now }} |
{% else %}
| nothing of what is recorded: {{ result.recorded }} | | |
{% endfor %}

Model {{ result.digest }}; reproduced as {{ result.reproduced_digest or "nothing" }}.
{% if result.files %}
Files that differ: {{ result.files | join(", ") }}.
{% endif %}
"""
# Markdown has nothing to escape as HTML.
_TEMPLATE = Environment(trim_blocks=True, keep_trailing_newline=True).from_string(PAGE)  # noqa: S701


@dataclass(frozen=True, slots=True)
class Difference:
    """How many of the predictions are not bit-equal, and the largest difference."""

    rows: int
    differing: int
    largest: float

    @property
    def share(self) -> float:
        """Share of the rows that differ."""
        return self.differing / self.rows if self.rows else 0.0


@dataclass(frozen=True, slots=True)
class Reproduction:
    """
    Result of a reproduction.

    Attributes
    ----------
    use_case, version, run_id
        The certified version and its MLflow run.
    outcome
        How the reproduced model relates to the certified one; see `MEANINGS`.
    digest, reproduced_digest
        Digests of the certified and of the reproduced model; the latter is empty if there is none.
    golden, test
        Differences on the golden rows and on the test rows; None if there is no reproduced model.
    changes
        Inputs that have changed since.
    files
        Files of the model that differ.
    problem
        Why there is no reproduced model.
    recorded
        What was recorded of the inputs, and is compared with the present, in words.
    """

    use_case: str
    version: int
    run_id: str
    outcome: ReproductionOutcome
    digest: str
    reproduced_digest: str
    golden: Difference | None = None
    test: Difference | None = None
    changes: tuple[Change, ...] = ()
    files: tuple[str, ...] = ()
    problem: str = ""
    recorded: str = ""

    @property
    def reason(self) -> str:
        """Summary for the ledger and for messages."""
        parts = [f"{self.use_case} version {self.version}: {MEANINGS[self.outcome]}"]
        if self.problem:
            parts.append(self.problem)
        if self.test is not None and self.test.differing:
            parts.append(
                f"{self.test.differing:,} of {self.test.rows:,} test rows ({self.test.share:.1%}) differ, "
                f"by up to {self.test.largest:.3g}"
            )
        changed = ", ".join(change.what for change in self.changes)
        if changed:
            return f"{'; '.join(parts)}. Changed since: {changed}."
        unchanged = f"{'; '.join(parts)}. Nothing has changed of what is recorded: {self.recorded}."
        if self.outcome != "different":
            return unchanged
        return (
            f"{unchanged} So the fit itself varies: give build_model() a random_state, and look for threads, "
            "clocks, files and services that it uses."
        )

    def require_equal(self) -> None:
        """
        Check that all predictions are bit-equal.

        Raises
        ------
        NotReproduced
            If they are not, or there is no reproduced model; the message names what has changed.
        """
        if self.outcome not in ("identical", "equal"):
            raise NotReproduced(f"{self.reason} See {MARKDOWN} of the MLflow run {self.run_id}.")


def reproduce(workspace: Workspace, build: Callable[..., Any], lake: Lake, version: int) -> Reproduction:
    """
    Train a version again and compare it with what was certified; nothing is registered.

    The result is logged with the version's MLflow run, and as a tag of the version.

    Parameters
    ----------
    workspace
        Use case, registry and an empty folder.
    build
        Today's `build_model` of the use case; parameters, seed and specification are the certified ones.
    lake
        Tables that the certified snapshot is read from.
    version
        Registered version.

    Raises
    ------
    ReleaseError
        If there is no such version.
    CertificateInvalid
        If the certificate is invalid: its lineage cannot be trusted.
    """
    package = workspace.workdir / "certified"
    certified = load_version(
        workspace.registry, workspace.use_case.name, version, folder=package, trusted=workspace.trusted
    )
    certificate = certified.certificate
    common: dict[str, Any] = {
        "use_case": workspace.use_case.name,
        "version": version,
        "run_id": certificate.run_id,
        "digest": certificate.model_digest,
        "changes": input_changes(certificate),
        "recorded": recorded_inputs(certificate),
    }
    declared = workspace.use_case
    try:
        specification = certified_specification(certificate.snapshot, declared, certified.model.features)
        common["changes"] += declared_changes(specification, declared)
        reproduced, test = _train_again(workspace, specification, build, lake, certificate)
        result = _compare(test[list(specification.features)], certified, package, reproduced, common)
    except ServiceUnavailable:
        raise
    except AirworthyError as error:
        # The rows are others now, or no model can be trained on them.
        result = Reproduction(**common, outcome="impossible", reproduced_digest="", problem=str(error))
    _log_result(workspace, result)
    return result


def compare_predictions(expected: Predictions, predictions: Predictions) -> Difference:
    """
    Return how predictions of the same rows differ; two NaN are equal.

    Parameters
    ----------
    expected, predictions : array of float, shape (n,) or (n, n_classes)
        Different shapes differ in all rows.
    """
    rows = len(expected)
    largest_float = float(np.finfo(np.float64).max)
    if expected.shape != predictions.shape:
        return Difference(rows, rows, largest_float)
    differs = (expected != predictions) & ~(np.isnan(expected) & np.isnan(predictions))
    gaps = np.nan_to_num(np.abs(expected - predictions)[differs], nan=largest_float)
    return Difference(rows, int(differs.reshape(rows, -1).any(axis=1).sum()), float(gaps.max(initial=0.0)))


def reproduction_markdown(result: Reproduction) -> str:
    """Return the result as a page of Markdown."""
    differences = [
        (name, difference)
        for name, difference in (("golden rows", result.golden), ("test rows", result.test))
        if difference is not None
    ]
    return _TEMPLATE.render(result=result, meaning=MEANINGS[result.outcome], differences=differences)


def _train_again(
    workspace: Workspace,
    specification: Specification,
    build: Callable[..., Any],
    lake: Lake,
    certificate: Certificate,
) -> tuple[Path, pd.DataFrame]:
    """Return the package of the reproduced model, and the test rows."""
    package = workspace.workdir / "reproduced"
    use_case = _with_seed(specification.use_case, certificate.seeds.get("training.seed"))
    snapshot = Snapshot.from_json(json.dumps(certificate.snapshot))
    frame = read_snapshot(use_case, snapshot, lake)
    splits = split_snapshot(specification, frame)
    estimator = build_estimator(use_case.name, build, certificate.parameters)
    if certificate.refit:
        seeded = specification.model_copy(update={"use_case": use_case})
        trained = fit_on_all(seeded, estimator, frame, certificate.refit["rounds"])
        rule = read_interface(workspace.workdir / "certified").decision
        learnt = frame
    else:
        trained = fit_candidate(use_case, estimator, splits)
        rule = packaged_rule(use_case, trained.estimator, splits)
        learnt = splits.train
    kinds = specified_kinds(specification)
    save_package(trained.estimator, use_case, learnt, package, kinds=kinds, decision=rule)
    return package, splits.test


def _with_seed(use_case: UseCase, seed: int | None) -> UseCase:
    """Return the use case with the certified seed; another one may be declared since."""
    if seed is None:
        return use_case
    return use_case.model_copy(update={"training": use_case.training.model_copy(update={"seed": seed})})


def _compare(
    test: pd.DataFrame,
    certified: LoadedVersion,
    certified_package: Path,
    reproduced_package: Path,
    common: Mapping[str, Any],
) -> Reproduction:
    """Return the result for a reproduced model; `test` holds the features of the test rows."""
    digest = model_digest(reproduced_package)
    reproduced = load_unverified(reproduced_package)
    content = json.loads((certified_package / GOLDEN).read_text())
    golden = compare_predictions(
        np.asarray(content["predictions"], dtype=np.float64),
        reproduced.predict(_golden_rows(content, test)),
    )
    test_difference = compare_predictions(certified.model.predict(test), reproduced.predict(test))
    outcome: ReproductionOutcome = "equal"
    if golden.differing or test_difference.differing:
        outcome = "different"
    elif digest == certified.certificate.model_digest:
        outcome = "identical"
    return Reproduction(
        **common,
        outcome=outcome,
        reproduced_digest=digest,
        golden=golden,
        test=test_difference,
        files=_different_files(certified.certificate.files, file_digests(reproduced_package)),
    )


def _golden_rows(content: Mapping[str, Any], like: pd.DataFrame) -> pd.DataFrame:
    """Return the golden rows with the column types of `like`."""
    rows = pd.DataFrame(**content["dataframe_split"])
    return rows.astype({name: dtype for name, dtype in like.dtypes.items() if name in rows.columns})


def _different_files(certified: Mapping[str, str], reproduced: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of model files whose digests differ, evidence aside."""
    of_model = {name: digest for name, digest in certified.items() if not name.startswith(f"{EVIDENCE}/")}
    names = of_model.keys() | reproduced.keys()
    return tuple(sorted(name for name in names if of_model.get(name) != reproduced.get(name)))


def _log_result(workspace: Workspace, result: Reproduction) -> None:
    """Log both forms of the result with the version's run, and a summary as its tag."""
    contents = {JSON: json.dumps(asdict(result), indent=1), MARKDOWN: reproduction_markdown(result)}
    for name, content in contents.items():
        path = workspace.workdir / name
        path.write_text(content)
        workspace.registry.log_file(result.run_id, path)
    summary = f"{result.outcome}: {result.reason}"[:MAX_TAG_LENGTH]
    workspace.registry.set_version_tags(result.use_case, result.version, as_tags({"reproduction": summary}))
