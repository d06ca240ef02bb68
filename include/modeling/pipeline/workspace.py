"""Working folder of a task, and the references that tasks hand on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from include.catalog import catalog
from include.certificates.certificate import EVIDENCE as CERTIFIED_EVIDENCE
from include.data.lake.partition_columns import DAY
from include.data.snapshots.snapshot import row_hashes
from include.data.snapshots.splits import split_rows

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt
    import pandas as pd

    from include.data.snapshots.splits import Splits
    from include.declarations import UseCase
    from include.modeling.registry.registry import Registry

# Files of a run.
SEEN_ROWS = "seen_rows.npy"
EVIDENCE = "evidence.json"
CURVE = "learning_curve.png"


@dataclass(frozen=True, slots=True)
class Workspace:
    """
    Registry, use case and folders of one task.

    `workdir` is empty and belongs to the task; `keys` holds the signing key and the folder `trusted`.
    """

    registry: Registry
    use_case: UseCase
    workdir: Path
    keys: Path

    @property
    def trusted(self) -> Path:
        """Folder of the public keys whose certificates are valid."""
        return self.keys / "trusted"


@dataclass(frozen=True, slots=True)
class TrainedCandidate:
    """Reference to a trained model, which tasks hand on."""

    use_case: str
    run_id: str
    model_id: str
    digest: str


def split_snapshot(use_case: UseCase, frame: pd.DataFrame) -> Splits:
    """Return the training, validation and test rows, as the split of the use case declares."""
    declared = catalog()
    return split_rows(
        frame,
        use_case.split,
        entity=declared.feature_views[use_case.feature_view].keys,
        embargo_days=declared.datasets[use_case.label.dataset].availability.embargo_days,
        class_names=use_case.class_names,
    )


def describe_split(use_case: UseCase) -> str:
    """Return the split of the use case in words, with the name of its entity."""
    return use_case.split.describe(", ".join(catalog().feature_views[use_case.feature_view].keys))


def row_identities(use_case: UseCase, *frames: pd.DataFrame) -> npt.NDArray[np.uint64]:
    """
    Return one hash per row, the same whatever its features and their types are: of entity and day, or of the
    entity alone where rows are split by it.
    """
    if use_case.split.by == "entity":
        columns = list(catalog().feature_views[use_case.feature_view].keys)
    else:
        columns = [*catalog().spine_of(use_case).keys, DAY]
    return np.concatenate([row_hashes(frame[columns].astype(object)) for frame in frames])


def count_overlaps(use_case: UseCase, splits: Splits, champion: Path | None) -> tuple[int, int | None]:
    """
    Return how many test rows the candidate, and the champion, were trained on.

    Parameters
    ----------
    use_case
        Use case of both.
    splits
        Rows of the candidate.
    champion
        Verified package of the champion, if there is one.

    Returns
    -------
    tuple of int and int or None
        The second is None if there is no champion, or its training rows are unknown.
    """
    test_rows = row_identities(use_case, splits.test)
    seen_rows = row_identities(use_case, splits.train, splits.validation)
    overlap = int(np.isin(test_rows, seen_rows).sum())
    # Part of the certified evidence, so that it cannot be shortened.
    file = champion / CERTIFIED_EVIDENCE / SEEN_ROWS if champion else None
    if file is None or not file.exists():
        return overlap, None
    return overlap, int(np.isin(test_rows, np.load(file)).sum())
