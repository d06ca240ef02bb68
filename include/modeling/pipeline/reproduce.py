"""Make a registered version again from its lineage, and say how it differs from what was certified."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from include.certificates.certificate import file_digests
from include.data.snapshots import snapshot as snapshots
from include.data.snapshots.snapshot import Snapshot
from include.errors import AirworthyError, NotReproduced, ServiceUnavailable
from include.modeling.packaging import package as packaging
from include.modeling.pipeline.workspace import split_snapshot
from include.modeling.registry import load_version as champions
from include.modeling.registry.provenance import code_version, lock_hash
from include.modeling.registry.registry import as_tags
from include.modeling.training.fit import feature_columns, fit_candidate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from include.certificates.certificate import Certificate
    from include.data.lake.delta_tables import Lake
    from include.declarations import UseCase
    from include.modeling.pipeline.workspace import Workspace
    from include.modeling.registry.load_version import LoadedVersion

FILE, PAGE = "reproduction.json", "reproduction.md"
ReproductionOutcome = Literal["identical", "equal", "different", "impossible"]
MEANING = {
    "identical": "the model is the same, byte by byte",
    "equal": "every prediction is bit-equal, though the model's files are not",
    "different": "the model that came of it answers otherwise",
    "impossible": "it could not be made again",
}


@dataclass(frozen=True, slots=True)
class Change:
    """Something that is not as it was when the version was made."""

    what: str
    then: str
    now: str


@dataclass(frozen=True, slots=True)
class Difference:
    """How many of so many predictions are not bit-equal, and by how much at most."""

    rows: int
    differing: int
    largest: float

    @property
    def share(self) -> float:
        """The share of the rows that differ."""
        return self.differing / self.rows if self.rows else 0.0


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What came of making a version again, and everything that had changed since."""

    use_case: str
    version: int
    run_id: str
    outcome: ReproductionOutcome
    digest: str
    found: str
    golden: Difference | None = None
    test: Difference | None = None
    changes: tuple[Change, ...] = ()
    files: tuple[str, ...] = ()
    problem: str = ""

    @property
    def reason(self) -> str:
        """One sentence for the ledger and for whoever is told."""
        parts = [f"{self.use_case} version {self.version}: {MEANING[self.outcome]}"]
        if self.problem:
            parts.append(self.problem)
        if self.test is not None and self.test.differing:
            parts.append(
                f"{self.test.differing:,} of {self.test.rows:,} test rows ({self.test.share:.1%}) differ, "
                f"by up to {self.test.largest:.3g}"
            )
        changed = ", ".join(change.what for change in self.changes) or "nothing that is known"
        return f"{'; '.join(parts)}. Changed since: {changed}."

    def require(self) -> None:
        """
        Let pass a version whose predictions are bit-equal.

        :raises NotReproduced: saying what differs and what has changed
        """
        if self.outcome not in ("identical", "equal"):
            raise NotReproduced(f"{self.reason} See {PAGE} of the MLflow run {self.run_id}.")


def reproduce(site: Workspace, build: Callable[..., Any], lake: Lake, version: int) -> Reproduction:
    """
    Make `version` again: its snapshot, today's `build` with its parameters and its seed.

    Nothing is registered. The result lies with the version's MLflow run, and on the version as a tag.

    :raises ReleaseError: if there is no such version
    :raises CertificateInvalid: if nobody trusted certified it: its lineage is not to be believed
    """
    name, registry = site.use_case.name, site.registry
    held = champions.load_version(
        registry, name, version, folder=site.workdir / "certified", trusted=site.trusted
    )
    about = held.certificate
    known: dict[str, Any] = {"use_case": name, "version": version, "run_id": about.run_id}
    known |= {"digest": about.model_digest, "changes": input_changes(about)}
    try:
        result = _compare(site, held, _remade(site, build, lake, about), known)
    except ServiceUnavailable:
        raise
    except AirworthyError as error:  # the rows are others now, or nothing can be learnt from them
        result = Reproduction(**known, outcome="impossible", found="", problem=str(error))
    _keep(site, result)
    return result


def input_changes(about: Certificate) -> tuple[Change, ...]:
    """Return what of code, lock and packages is not as it was when a version was certified."""
    code = code_version()
    found = [
        Change("code", about.code_version, code),
        Change("lock", about.lock_hash, lock_hash()),
        *(Change(package, then, _installed(package)) for package, then in about.environment.items()),
    ]
    changed = [change for change in found if change.then != change.now]
    if about.code_version == code and (code.endswith("-dirty") or code == "unknown"):
        changed.insert(0, Change("code, perhaps", code, "nobody can say which files it was"))
    return tuple(changed)


def difference(expected: np.ndarray[Any, Any], found: np.ndarray[Any, Any]) -> Difference:
    """Return how predictions of one shape differ: `expected` first, one row or several numbers a row."""
    rows = len(expected)
    if expected.shape != found.shape:
        return Difference(rows, rows, float(np.finfo(np.float64).max))
    apart = (expected != found) & ~(np.isnan(expected) & np.isnan(found))
    gap = np.nan_to_num(np.abs(expected - found)[apart], nan=np.finfo(np.float64).max)
    return Difference(rows, int(apart.reshape(rows, -1).any(axis=1).sum()), float(gap.max(initial=0.0)))


def reproduction_markdown(result: Reproduction) -> str:
    """Return the page that people read."""
    lines = [
        f"# {result.use_case} version {result.version}, made again",
        "",
        f"**{result.outcome.capitalize()}**: {MEANING[result.outcome]}. {result.problem}".rstrip(),
        "",
        "| predictions | rows | differing | share | largest difference |",
        "|---|---|---|---|---|",
    ]
    for name, found in (("golden rows", result.golden), ("test rows", result.test)):
        if found is not None:
            figures = f"{found.rows:,} | {found.differing:,} | {found.share:.2%} | {found.largest:.3g}"
            lines.append(f"| {name} | {figures} |")
    lines += ["", "| changed since | then | now |", "|---|---|---|"]
    lines += [f"| {change.what} | {change.then} | {change.now} |" for change in result.changes]
    lines += [] if result.changes else ["| nothing that is known | | |"]
    lines += ["", f"Model {result.digest}; made again {result.found or 'nothing'}."]
    lines += [f"Files that differ: {', '.join(result.files)}."] if result.files else []
    return "\n".join(lines) + "\n"


def _remade(
    site: Workspace, build: Callable[..., Any], lake: Lake, about: Certificate
) -> tuple[Path, pd.DataFrame]:
    """Return the folder of the model that was made again, and the rows it is tested on."""
    folder = site.workdir / "again"
    use_case = _seeded(site.use_case, about.seeds.get("training.seed"))
    snapshot = Snapshot.from_json(json.dumps(about.snapshot))
    splits = split_snapshot(use_case, snapshots.read_snapshot(use_case, snapshot, lake))
    trained = fit_candidate(use_case, build(**about.parameters), splits)
    packaging.save_package(trained.estimator, use_case, splits.train, folder)
    return folder, splits.test


def _seeded(use_case: UseCase, seed: int | None) -> UseCase:
    """Return the use case with the seed that was certified: another one may be declared since."""
    if seed is None:
        return use_case
    return use_case.model_copy(update={"training": use_case.training.model_copy(update={"seed": seed})})


def _compare(
    site: Workspace, held: LoadedVersion, made: tuple[Path, pd.DataFrame], known: Mapping[str, Any]
) -> Reproduction:
    folder, test = made
    digest = packaging.model_digest(folder)
    again = packaging.load_package(folder, expected=digest)
    certified = site.workdir / "certified"
    golden = json.loads((certified / packaging.GOLDEN).read_text())
    rows = feature_columns(site.use_case, test)
    answers, expected = again.predict(rows), held.model.predict(rows)
    of_golden = difference(_array(golden["predictions"]), again.predict(_golden_rows(golden, rows)))
    of_test = difference(expected, answers)
    same = of_golden.differing == of_test.differing == 0
    outcome: ReproductionOutcome = "identical" if digest == held.certificate.model_digest else "equal"
    return Reproduction(
        **known,
        outcome=outcome if same else "different",
        found=digest,
        golden=of_golden,
        test=of_test,
        files=_files(held.certificate.files, file_digests(folder)),
    )


def _golden_rows(golden: Mapping[str, Any], like: pd.DataFrame) -> pd.DataFrame:
    rows = pd.DataFrame(**golden["dataframe_split"])
    return rows.astype({name: kind for name, kind in like.dtypes.items() if name in rows.columns})


def _array(values: Any) -> np.ndarray[Any, Any]:
    return np.asarray(values, dtype=np.float64)


def _files(then: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    of_model = {name: sha256 for name, sha256 in then.items() if not name.startswith("evidence/")}
    return tuple(sorted(name for name in of_model.keys() | now.keys() if of_model.get(name) != now.get(name)))


def _installed(package: str) -> str:
    if package == "python":
        return platform.python_version()
    try:
        return version_of(package)
    except PackageNotFoundError:
        return "not installed"


def _keep(site: Workspace, result: Reproduction) -> None:
    (site.workdir / FILE).write_text(json.dumps(asdict(result), indent=1))
    (site.workdir / PAGE).write_text(reproduction_markdown(result))
    for name in (FILE, PAGE):
        site.registry.log_file(result.run_id, site.workdir / name)
    site.registry.set_version_tags(
        result.use_case,
        result.version,
        as_tags({"reproduction": f"{result.outcome}: {result.reason}"[:5000]}),
    )
