"""Evaluate a candidate and the champion on the same test rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from include.certificates.certificate import EVIDENCE as SIGNED
from include.certificates.certificate import require_digest
from include.modeling.evaluation.context import ChampionScores, build_context, predict_checked, sample
from include.modeling.evaluation.isolated_process import isolated_predictor
from include.modeling.evaluation.plots import draw_evaluation as draw_trial
from include.modeling.explainability.importance import write_importance
from include.modeling.gates.package import ROWS as FRESH_ROWS
from include.modeling.packaging import package
from include.modeling.pipeline.collect_evidence import collect_evidence, with_sizes
from include.modeling.pipeline.workspace import (
    EVIDENCE,
    SEEN_ROWS,
    TrainedCandidate,
    Workspace,
    row_identities,
    split_snapshot,
)
from include.modeling.registry import load_version as champions
from include.modeling.training.fit import feature_columns

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt
    import pandas as pd

    from include.data.snapshots.leakage_history import LeakageRecord
    from include.modeling.evaluation.evidence import Evidence


def evaluate_candidate(
    site: Workspace,
    candidate: TrainedCandidate,
    frame: pd.DataFrame,
    *,
    champion_version: int | None = None,
    refusals: int = 0,
    leakage: LeakageRecord | None = None,
) -> Evidence:
    """
    Measure the packaged candidate, and the champion `rival` on the same test rows; keep it with the run.

    `frame` is that of `train`; `refusals` is how many challengers were refused since the last promotion, and
    `leakage` what is on record about the snapshot's features.
    """
    use_case, registry = site.use_case, site.registry
    splits = split_snapshot(use_case, frame)
    asked = feature_columns(use_case, sample(splits.test, FRESH_ROWS))
    with isolated_predictor(asked) as ask:
        folder = registry.fetch(candidate.model_id, site.workdir / "candidate")
        require_digest(folder, candidate.digest, f"the candidate of run {candidate.run_id}")
        fresh = ask(folder, candidate.digest)
        champion, theirs = (
            (None, None) if champion_version is None else _champion(site, champion_version, splits.test)
        )
        beside: dict[str, Any] = {"isolated": fresh, "champion": champion}
        if champion is not None and any(gate.kind == "budget" and gate.compares for gate in use_case.gates):
            digest = package.model_digest(champion.folder)
            beside["champion_isolated"] = ask(champion.folder, digest)
        model = package.load_package(folder, expected=candidate.digest)
        trial = build_context(use_case, model, folder, splits, **beside)
        pictures = draw_trial(trial, site.workdir) + write_importance(
            use_case, model, splits.test, site.workdir
        )
        tested = row_identities(use_case, splits.test)  # what waits for the fresh processes comes last
        evidence = collect_evidence(
            trial,
            overlap=_common(tested, row_identities(use_case, splits.train, splits.validation)),
            champions_overlap=None if theirs is None else _common(tested, theirs),
            refusals=refusals,
        )
    evidence = with_sizes(evidence, splits).model_copy(update={"leakage": leakage})
    _keep(site, candidate, evidence, pictures)
    return evidence


def _keep(site: Workspace, candidate: TrainedCandidate, evidence: Evidence, files: list[Path]) -> None:
    metrics = {**evidence.metrics, "naive": evidence.baseline}
    flat = {f"{name}.{metric}": value for name, values in metrics.items() for metric, value in values.items()}
    if evidence.skill is not None:
        flat["test.skill"] = evidence.skill
    if evidence.costs is not None:
        flat |= {"test.cost": evidence.costs.model, "test.saved": evidence.costs.saved}
    site.registry.log(candidate.run_id, metrics=flat)
    path = site.workdir / EVIDENCE
    path.write_text(evidence.model_dump_json(indent=1))
    for file in (path, *files):
        site.registry.log_file(candidate.run_id, file)


def _champion(
    site: Workspace, rival: int, test: pd.DataFrame
) -> tuple[ChampionScores, npt.NDArray[np.uint64] | None]:
    """Return the champion with its answers to the test rows, and the rows it has seen, if they are known."""
    use_case, folder = site.use_case, site.workdir / "champion"
    held = champions.load_version(site.registry, use_case.name, rival, folder=folder, trusted=site.trusted)
    seen = folder / SIGNED / SEEN_ROWS  # of the evidence on its certificate, so nobody made it shorter
    opponent = ChampionScores(rival, held.model, folder, predict_checked(use_case, held.model, test))
    return opponent, np.load(seen) if seen.exists() else None


def _common(rows: npt.NDArray[np.uint64], others: npt.NDArray[np.uint64]) -> int:
    return int(np.isin(rows, others).sum())
