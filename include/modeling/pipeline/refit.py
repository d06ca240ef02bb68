"""Final refit: after the gates, the candidate's recipe on all rows, if that is shown to be no worse."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from include.certificates.certificate import model_digest, require_digest
from include.data.lake.partition_columns import DAY
from include.data.snapshots.target_encoding import TARGET
from include.errors import SettingsError
from include.inference.model import load_unverified, read_interface
from include.modeling.evaluation.bootstrap import MINIMUM_UNITS, UnitBootstrap
from include.modeling.evaluation.comparison import paired_gain
from include.modeling.evaluation.context import PackagedModel, build_context, predict_checked, sample
from include.modeling.evaluation.isolated_process import isolated_predictor
from include.modeling.gates.base import Verdict
from include.modeling.gates.mandatory import PARITY_ROWS
from include.modeling.gates.runner import judge_package
from include.modeling.packaging.package import save_package
from include.modeling.pipeline.champion import load_champion
from include.modeling.pipeline.workspace import (
    SEEN_ROWS,
    TWIN_SEEN_ROWS,
    TrainedCandidate,
    row_identities,
    split_snapshot,
)
from include.modeling.registry.registry import as_tags
from include.modeling.training.estimator import seeds
from include.modeling.training.fit import feature_columns
from include.modeling.training.refit import fit_on_all, walk_forward

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import pandas as pd

    from include.data.snapshots.splits import Splits
    from include.declarations import FinalRefit, UseCase
    from include.modeling.evaluation.context import ChampionInput
    from include.modeling.evaluation.evidence import Figure, Gain
    from include.modeling.gates.base import VerdictOutcome
    from include.modeling.pipeline.champion import ReadRows
    from include.modeling.pipeline.workspace import Workspace
    from include.modeling.registry.provenance import Provenance

# Cards of an earlier registration are no evidence.
MARKDOWN = "model_card.md"
HTML = "model_card.html"
# File of the refit's run; it is written last.
REFIT = "refit.json"
GATE = "final_refit"
ALL_ROWS = "train, validation and test rows"


@dataclass(frozen=True, slots=True)
class Refit:
    """
    Result of a final refit.

    Attributes
    ----------
    candidate : TrainedCandidate
        Model to register: the refitted one, or the candidate that passed the gates if the refit is refused.
    verdicts : tuple of Verdict
        Verdicts about the refit, which the certificate states.
    claims : dict
        What the certificate says about the refit; empty if it is refused.
    """

    candidate: TrainedCandidate
    verdicts: tuple[Verdict, ...]
    claims: dict[str, Any]

    def to_json(self) -> str:
        """Return the result as JSON."""
        return json.dumps(asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Refit:
        """Return the result that `to_json` wrote."""
        content = json.loads(text)
        verdicts = tuple(Verdict(**verdict) for verdict in content["verdicts"])
        return cls(TrainedCandidate(**content["candidate"]), verdicts, content["claims"])


@dataclass(frozen=True, slots=True)
class RefitInputs:
    """
    The candidate that passed its gates (`twin`), how it is built, and the rows of its snapshot.

    `build` returns the untrained estimator with the candidate's parameters, and `provenance` is what was
    recorded in training.
    """

    workspace: Workspace
    twin: TrainedCandidate
    build: Callable[[], Any]
    frame: pd.DataFrame
    provenance: Provenance

    @property
    def twin_folder(self) -> Path:
        """Folder of the candidate's package."""
        return self.workspace.workdir / "twin"

    @property
    def splits(self) -> Splits:
        """Rows as the candidate divided them."""
        return split_snapshot(self.workspace.specification, self.frame)

    @property
    def rounds(self) -> int | None:
        """Rounds after which the candidate stopped; None if it has no rounds."""
        logged = self.workspace.registry.logged_model(self.twin.run_id)
        iterations = logged.tags.get("airworthy.iterations") if logged else None
        return int(iterations) if iterations else None


def refit_candidate(
    inputs: RefitInputs, *, champion_version: int | None = None, read_rows: ReadRows | None = None
) -> Refit:
    """
    Judge the refit of a candidate that passed its gates; if it is no worse, fit, check and log it.

    It has an MLflow run of its own. A result that an earlier attempt recorded is returned.

    Parameters
    ----------
    inputs
        The candidate, its rows and an empty folder.
    champion_version
        Version whose requests the refitted model must accept.
    read_rows
        Reads the champion's own features.

    Raises
    ------
    CertificateInvalid
        If files of the candidate or of the champion were exchanged.
    ServiceUnavailable
        If the registry, memory, disk or the machine's time failed.
    """
    workspace = inputs.workspace
    registry = workspace.registry
    twin = inputs.twin
    identity = {"airworthy.dag": "final_refit", "airworthy.run": twin.run_id, "airworthy.partition": ""}
    run_id = registry.run_for(twin.use_case, identity | {"airworthy.refit_of": twin.run_id})
    recorded = registry.read_file(run_id, REFIT)
    if recorded is not None:
        return Refit.from_json(recorded)
    folder = registry.fetch_model(twin.model_id, inputs.twin_folder)
    require_digest(folder, twin.digest, f"the candidate of run {twin.run_id}")
    gain = estimate_gain(inputs)
    verdict = judge_gain(workspace.use_case, gain)
    result = Refit(twin, (verdict,), {})
    if verdict.outcome == "pass":
        package = fit_and_package(inputs)
        champion = load_champion(workspace, champion_version, inputs.splits.test, read_rows)
        checks = check_package(inputs, package, champion)
        result = _checked_refit(inputs, run_id, package, gain, (verdict, *checks))
    path = workspace.workdir / REFIT
    path.write_text(result.to_json())
    registry.log_file(run_id, path)
    registry.finish(run_id)
    return result


def _checked_refit(
    inputs: RefitInputs, run_id: str, package: Path, gain: Gain, verdicts: tuple[Verdict, ...]
) -> Refit:
    """Log the refitted model if no check of its package is against it; otherwise the candidate stays."""
    broken = [verdict for verdict in verdicts if verdict.outcome != "pass" and verdict.severity == "block"]
    if not broken:
        return _log_refit(inputs, run_id, package, gain, verdicts)
    reasons = "; ".join(f"{verdict.gate}: {verdict.reason}" for verdict in broken)
    return Refit(inputs.twin, (refused(f"the refitted model did not pass: {reasons}"),), {})


def estimate_gain(inputs: RefitInputs) -> Gain:
    """Return how much better refits predict the test rows, which they did not learn from, than the twin."""
    use_case = inputs.workspace.use_case
    refit = declared_refit(use_case)
    test = inputs.splits.test
    forward = walk_forward(
        inputs.workspace.specification, inputs.build, inputs.frame, inputs.splits, inputs.rounds
    )
    former = predict_checked(use_case, load_unverified(inputs.twin_folder), test)
    is_dated = use_case.split.by == "time"
    return paired_gain(
        use_case.metric,
        test[TARGET].to_numpy(dtype=np.float64),
        forward,
        former,
        confidence=refit.confidence,
        units=UnitBootstrap.of_days(test[DAY]) if is_dated else UnitBootstrap.of_rows(len(test)),
    )


def judge_gain(use_case: UseCase, gain: Gain) -> Verdict:
    """Pass if the refit is worse by at most the margin, with confidence; otherwise the candidate stays."""
    refit = declared_refit(use_case)
    reason = (
        f"walk-forward refits gain {gain.value:+.4g} in {gain.metric} on the candidate "
        f"({gain.lower:+.4g} to {gain.upper:+.4g}); at most {refit.margin:g} worse is allowed"
    )
    figures: dict[str, Figure] = {"gain": gain.value, "lower": gain.lower, "upper": gain.upper}
    figures["margin"] = refit.margin
    if gain.units < MINIMUM_UNITS:
        return refused(f"{reason}; {gain.units} {gain.unit} are too few", figures, outcome="inconclusive")
    if gain.lower >= -refit.margin:
        return Verdict(GATE, "pass", "info", reason, figures)
    is_worse = gain.upper < -refit.margin
    return refused(reason, figures, outcome="fail" if is_worse else "inconclusive")


def refused(
    reason: str, figures: Mapping[str, Figure] | None = None, *, outcome: VerdictOutcome = "fail"
) -> Verdict:
    """Return the verdict of a refit that is not registered; the candidate is, so that it does not block."""
    return Verdict(GATE, outcome, "warn", f"{reason}; the candidate is registered as it is", figures or {})


def declared_refit(use_case: UseCase) -> FinalRefit:
    """Return the declaration of the refit; raise SettingsError without one."""
    if use_case.training.final_refit is None:
        raise SettingsError(f"{use_case.name} declares no training.final_refit. Declare it, or do not refit.")
    return use_case.training.final_refit


def fit_and_package(inputs: RefitInputs) -> Path:
    """Return the package of the estimator that was fitted on all rows, with the candidate's decision rule."""
    workspace = inputs.workspace
    trained = fit_on_all(workspace.specification, inputs.build(), inputs.frame, inputs.rounds)
    package = workspace.workdir / "refit"
    save_package(
        trained.estimator,
        workspace.use_case,
        inputs.frame,
        package,
        kinds=workspace.kinds,
        decision=read_interface(inputs.twin_folder).decision,
    )
    return package


def check_package(inputs: RefitInputs, package: Path, champion: ChampionInput | None) -> tuple[Verdict, ...]:
    """Return the verdicts of the gates that concern the package itself, each under a name of its own."""
    use_case = inputs.workspace.use_case
    parity_rows = feature_columns(use_case, sample(inputs.splits.test, PARITY_ROWS))
    with ExitStack() as processes:
        start = processes.enter_context(isolated_predictor(parity_rows))
        packaged = PackagedModel(package, load_unverified(package), start(package))
        context = build_context(use_case, inputs.splits, packaged, champion=champion)
        verdicts = judge_package(context)
    return tuple(replace(verdict, gate=f"refit_{verdict.gate}") for verdict in verdicts)


def _log_refit(
    inputs: RefitInputs, run_id: str, package: Path, gain: Gain, verdicts: tuple[Verdict, ...]
) -> Refit:
    """Log the refitted model as that of its run, with the evidence of the twin and the rows of both."""
    workspace = inputs.workspace
    registry = workspace.registry
    twin = inputs.twin
    evidence = registry.fetch_files(twin.run_id, workspace.workdir / "evidence")
    for page in (MARKDOWN, HTML):
        (evidence / page).unlink(missing_ok=True)
    (evidence / SEEN_ROWS).rename(evidence / TWIN_SEEN_ROWS)
    np.save(evidence / SEEN_ROWS, row_identities(workspace.specification, inputs.frame))
    for path in sorted(evidence.iterdir()):
        if path.is_file():
            registry.log_file(run_id, path)
    claims = {
        "learnt_from": ALL_ROWS,
        "rows": len(inputs.frame),
        "rounds": inputs.rounds,
        "figures": "the test figures are those of the twin, the same recipe without the test rows",
        "twin_run_id": twin.run_id,
        "twin_model_id": twin.model_id,
        "twin_digest": twin.digest,
        "metric": gain.metric,
        "walk_forward_gain": gain.value,
        "walk_forward_interval": [gain.lower, gain.upper],
        "margin": declared_refit(workspace.use_case).margin,
    }
    digest = model_digest(package)
    declared_seeds = json.dumps(seeds(workspace.use_case, inputs.build()))
    tags = {"use_case": twin.use_case, "seeds": declared_seeds, "refit": json.dumps(claims)}
    model = registry.log_model(run_id, package, digest=digest, tags=inputs.provenance.tags | as_tags(tags))
    return Refit(TrainedCandidate(twin.use_case, run_id, model.model_id, model.digest), verdicts, claims)
