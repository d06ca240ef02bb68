"""Evaluate a candidate and the champion on the same test rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from include.certificates.certificate import EVIDENCE as SIGNED
from include.modeling.evaluation.context import Opponent, answers_of, hold, sample
from include.modeling.evaluation.isolated_process import asking
from include.modeling.evaluation.plots import draw as draw_trial
from include.modeling.explainability.importance import explain
from include.modeling.gates.package import ROWS as FRESH_ROWS
from include.modeling.packaging import package
from include.modeling.pipeline.collect_evidence import examine, with_sizes
from include.modeling.pipeline.workspace import (
    EVIDENCE,
    SEEN_ROWS,
    Site,
    TrainedCandidate,
    cut,
    row_identities,
)
from include.modeling.registry import load_version as champions
from include.modeling.training.fit import inputs

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt
    import pandas as pd

    from include.data.snapshots.leakage_history import LeakageRecord
    from include.modeling.evaluation.evidence import Evidence


def evaluate(
    site: Site,
    candidate: TrainedCandidate,
    frame: pd.DataFrame,
    *,
    rival: int | None = None,
    refusals: int = 0,
    leakage: LeakageRecord | None = None,
) -> Evidence:
    """
    Measure the packaged candidate, and the champion `rival` on the same test rows; keep it with the run.

    `frame` is that of `train`; `refusals` is how many challengers were refused since the last promotion, and
    `leakage` what is on record about the snapshot's features.
    """
    use_case, registry = site.use_case, site.registry
    splits = cut(use_case, frame)
    asked = inputs(use_case, sample(splits.test, FRESH_ROWS))
    with asking(asked) as ask:
        folder = registry.fetch(candidate.model_id, site.workdir / "candidate")
        package.check(folder, candidate.digest)
        fresh = ask(folder, candidate.digest)
        champion, theirs = (None, None) if rival is None else _champion(site, rival, splits.test)
        beside: dict[str, Any] = {"fresh": fresh, "champion": champion}
        if champion is not None and any(gate.kind == "budget" and gate.compares for gate in use_case.gates):
            digest = package.digest(champion.folder)
            beside["champions"] = ask(champion.folder, digest)
        model = package.load(folder, expected=candidate.digest)
        trial = hold(use_case, model, folder, splits, **beside)
        pictures = draw_trial(trial, site.workdir) + explain(use_case, model, splits.test, site.workdir)
        tested = row_identities(use_case, splits.test)  # what waits for the fresh processes comes last
        evidence = examine(
            trial,
            overlap=_common(tested, row_identities(use_case, splits.train, splits.validation)),
            champions_overlap=None if theirs is None else _common(tested, theirs),
            refusals=refusals,
        )
    evidence = with_sizes(evidence, splits).model_copy(update={"leakage": leakage})
    _keep(site, candidate, evidence, pictures)
    return evidence


def _keep(site: Site, candidate: TrainedCandidate, evidence: Evidence, files: list[Path]) -> None:
    metrics = {**evidence.metrics, "naive": evidence.naive}
    flat = {f"{name}.{metric}": value for name, values in metrics.items() for metric, value in values.items()}
    if evidence.skill is not None:
        flat["test.skill"] = evidence.skill
    if evidence.decision is not None:
        flat |= {"test.cost": evidence.decision.model, "test.saved": evidence.decision.saved}
    site.registry.log(candidate.run_id, metrics=flat)
    path = site.workdir / EVIDENCE
    path.write_text(evidence.model_dump_json(indent=1))
    for file in (path, *files):
        site.registry.log_file(candidate.run_id, file)


def _champion(site: Site, rival: int, test: pd.DataFrame) -> tuple[Opponent, npt.NDArray[np.uint64] | None]:
    """Return the champion with its answers to the test rows, and the rows it has seen, if they are known."""
    use_case, folder = site.use_case, site.workdir / "champion"
    held = champions.load(site.registry, use_case.name, rival, folder=folder, trusted=site.trusted)
    seen = folder / SIGNED / SEEN_ROWS  # of the evidence on its certificate, so nobody made it shorter
    opponent = Opponent(rival, held.model, folder, answers_of(use_case, held.model, test))
    return opponent, np.load(seen) if seen.exists() else None


def _common(rows: npt.NDArray[np.uint64], others: npt.NDArray[np.uint64]) -> int:
    return int(np.isin(rows, others).sum())
