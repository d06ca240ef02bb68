"""Train a candidate and measure it; each step may be tried again and hands on references only."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from include.catalog import catalog
from include.certificates.certificate import EVIDENCE as SIGNED
from include.data.snapshots.snapshot import row_hashes
from include.data.snapshots.splits import split
from include.errors import SettingsError
from include.modeling.evaluation.context import Opponent, answers_of, hold, sample
from include.modeling.evaluation.isolated_process import asking
from include.modeling.evaluation.plots import draw as draw_trial
from include.modeling.explainability.importance import explain
from include.modeling.gates.package import ROWS as FRESH_ROWS
from include.modeling.packaging import package
from include.modeling.pipeline.collect_evidence import examine, with_sizes
from include.modeling.registry import load_version as champions
from include.modeling.registry.registry import as_tags
from include.modeling.training.estimator import seeds
from include.modeling.training.fit import fit, inputs
from include.modeling.training.learning_curve import draw, learning_curve
from include.modeling.training.resource_usage import measured

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt
    import pandas as pd

    from include.data.snapshots.leakage_history import LeakageRecord
    from include.data.snapshots.splits import Splits
    from include.declarations import UseCase
    from include.modeling.evaluation.evidence import Evidence
    from include.modeling.registry.registry import Registry

SEEN_ROWS, EVIDENCE, CURVE = "seen_rows.npy", "evidence.json", "learning_curve.png"


@dataclass(frozen=True, slots=True)
class Site:
    """Where a use case is worked on: `workdir` is empty and the task's own, `keys` holds `trusted/`."""

    registry: Registry
    use_case: UseCase
    workdir: Path
    keys: Path

    @property
    def trusted(self) -> Path:
        """The folder of the public keys whose certificates are believed."""
        return self.keys / "trusted"


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a model is made from: snapshot (as a plain dict), code, locked environment, tuned parameters."""

    snapshot: Mapping[str, Any]
    code_version: str
    lock_hash: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The sha256 over all of it."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True, default=str).encode()).hexdigest()

    @property
    def tags(self) -> dict[str, str]:
        """What a run and its model carry of it."""
        about = {"code_version": self.code_version, "lock_hash": self.lock_hash, "inputs": self.digest}
        return as_tags(about | self.chosen)

    @property
    def chosen(self) -> dict[str, str]:
        """The tuned parameters as JSON, where there are any."""
        return {"parameters": json.dumps(dict(self.parameters))} if self.parameters else {}


@dataclass(frozen=True, slots=True)
class TrainedCandidate:
    """Where a trained model lies; small enough to be handed from task to task."""

    use_case: str
    run_id: str
    model_id: str
    digest: str


def train(
    site: Site, estimator: Any, frame: pd.DataFrame, *, run_id: str, provenance: Provenance
) -> TrainedCandidate:
    """
    Fit, package and log the one model of the run; what an earlier attempt logged completely is kept.

    :raises SettingsError: if the earlier attempt trained on other data, or other code
    """
    use_case, registry = site.use_case, site.registry
    logged = registry.logged(run_id)
    if logged is None:
        splits = cut(use_case, frame)
        with measured() as usage:
            trained = fit(use_case, estimator, splits)
            curve = learning_curve(use_case, trained.estimator, splits.train, splits.validation)
            folder = site.workdir / "model"
            package.save(trained.estimator, use_case, splits.train, folder)
        np.save(site.workdir / SEEN_ROWS, _identities(use_case, splits.train, splits.validation))
        registry.log_file(run_id, site.workdir / SEEN_ROWS)
        if curve is not None:
            (site.workdir / CURVE).write_bytes(draw(curve, use_case.name))
            registry.log_file(run_id, site.workdir / CURVE)
        registry.log(
            run_id,
            params=_parameters(trained.estimator),
            metrics=trained.figures | usage.figures | (curve.figures if curve else {}),
            series=curve.series if curve else None,
            tags=provenance.tags | as_tags({"training.notes": "; ".join(trained.notes)}),
        )
        chance = json.dumps(seeds(use_case, trained.estimator))
        tags = provenance.tags | as_tags({"use_case": use_case.name, "seeds": chance})
        logged = registry.log_model(run_id, folder, digest=package.digest(folder), tags=tags)
    if logged.tags.get("airworthy.inputs") != provenance.digest:
        raise SettingsError(
            f"The MLflow run {run_id} has a model already, of other data or code. "
            "Clear this task for a run of its own, or trigger a new DAG run."
        )
    return TrainedCandidate(use_case.name, run_id, logged.model_id, logged.digest)


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
        tested = _identities(use_case, splits.test)  # what waits for the fresh processes comes last
        evidence = examine(
            trial,
            overlap=_common(tested, _identities(use_case, splits.train, splits.validation)),
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


def cut(use_case: UseCase, frame: pd.DataFrame) -> Splits:
    """Return the rows to fit, to choose and to judge by, apart by what the label lags."""
    label = catalog().datasets[use_case.label.dataset]
    return split(frame, use_case.split, lag_days=label.lag_days)


def trained_on(registry: Registry, candidate: TrainedCandidate, provenance: Provenance) -> Provenance:
    """
    Return what the candidate was made from: the code may have been deployed anew since.

    :raises SettingsError: if it was not the snapshot of `provenance`
    """
    logged = registry.logged(candidate.run_id)
    tags = logged.tags if logged else {}
    code, lock = tags.get("airworthy.code_version", ""), tags.get("airworthy.lock_hash", "")
    parameters = json.loads(tags.get("airworthy.parameters", "{}"))
    found = Provenance(provenance.snapshot, code, lock, parameters)
    if tags.get("airworthy.inputs") != found.digest:
        raise SettingsError(
            f"The model of the MLflow run {candidate.run_id} was not trained on the snapshot that its "
            "certificate would name. Trigger a new DAG run."
        )
    return found


def _champion(site: Site, rival: int, test: pd.DataFrame) -> tuple[Opponent, npt.NDArray[np.uint64] | None]:
    """Return the champion with its answers to the test rows, and the rows it has seen, if they are known."""
    use_case, folder = site.use_case, site.workdir / "champion"
    held = champions.load(site.registry, use_case.name, rival, folder=folder, trusted=site.trusted)
    seen = folder / SIGNED / SEEN_ROWS  # of the evidence on its certificate, so nobody made it shorter
    opponent = Opponent(rival, held.model, folder, answers_of(use_case, held.model, test))
    return opponent, np.load(seen) if seen.exists() else None


def _identities(use_case: UseCase, *frames: pd.DataFrame) -> npt.NDArray[np.uint64]:
    """Return one hash per row of what it is about: the same whatever its features or their types were."""
    view = catalog().feature_views[use_case.feature_view]
    return np.concatenate([row_hashes(frame[[view.entity, "day"]].astype(object)) for frame in frames])


def _common(rows: npt.NDArray[np.uint64], others: npt.NDArray[np.uint64]) -> int:
    return int(np.isin(rows, others).sum())


def _parameters(estimator: Any) -> dict[str, object]:
    plain = (bool, int, float, str, type(None))
    return {name: value for name, value in estimator.get_params().items() if isinstance(value, plain)}
