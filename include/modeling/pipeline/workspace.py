"""Working folder of a task, and the references that tasks hand on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from include.certificates.certificate import EVIDENCE as CERTIFIED_EVIDENCE
from include.data.lake.partition_columns import DAY
from include.data.snapshots.snapshot import row_hashes
from include.data.snapshots.splits import split_rows
from include.feature_values import specified_kinds
from include.specifications import declared_specification

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt
    import pandas as pd

    from include.data.snapshots.splits import Splits
    from include.declarations import UseCase
    from include.declarations.specification import Specification
    from include.feature_values import ColumnType
    from include.modeling.registry.registry import Registry

# Files of a run.
SEEN_ROWS = "seen_rows.npy"
# Of the model that a refitted one was judged by.
TWIN_SEEN_ROWS = "twin_seen_rows.npy"
EVIDENCE = "evidence.json"
CURVE = "learning_curve.png"


@dataclass(frozen=True, slots=True)
class Workspace:
    """
    Registry, use case and folders of one task.

    `workdir` is empty and belongs to the task; `keys` holds the signing key and the folder `trusted`.
    `frozen` is the specification of the snapshot, to which `use_case` belongs; without it, the use case is
    taken as it is declared.
    """

    registry: Registry
    use_case: UseCase
    workdir: Path
    keys: Path
    frozen: Specification | None = None

    @property
    def specification(self) -> Specification:
        """Specification of the model that the task makes or judges."""
        return self.frozen or declared_specification(self.use_case)

    @property
    def kinds(self) -> dict[str, ColumnType] | None:
        """Types of the features; None without a snapshot's specification, which says what may be missing."""
        return specified_kinds(self.frozen) if self.frozen else None

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


def split_snapshot(specification: Specification, frame: pd.DataFrame, *, all_days: bool = False) -> Splits:
    """
    Return the training, validation and test rows, as the specification divides them.

    With `all_days`, the training rows are not limited to the window of `training.last_days`.
    """
    return split_rows(
        frame,
        specification.use_case.split,
        entity=specification.entity,
        embargo_days=specification.availability.embargo_days,
        class_names=specification.use_case.class_names,
        last_days=None if all_days else specification.use_case.training.last_days,
    )


def describe_split(specification: Specification) -> str:
    """Return the split in words, with the name of its entity."""
    return specification.use_case.split.describe(", ".join(specification.entity))


def row_identities(specification: Specification, *frames: pd.DataFrame) -> npt.NDArray[np.uint64]:
    """
    Return one hash per row, the same whatever its features and their types are: of entity and day, or of the
    entity alone where rows are split by it.
    """
    if specification.use_case.split.by == "entity":
        columns = list(specification.entity)
    else:
        columns = [*specification.selection.spine.keys, DAY]
    return np.concatenate([row_hashes(frame[columns].astype(object)) for frame in frames])


def count_overlaps(
    specification: Specification, splits: Splits, champion: Path | None
) -> tuple[int, int | None]:
    """
    Return how many test rows the candidate, and the champion, were trained on.

    Parameters
    ----------
    specification
        Specification of the candidate.
    splits
        Rows of the candidate.
    champion
        Verified package of the champion, if there is one.

    Returns
    -------
    tuple of int and int or None
        The second is None if there is no champion, or its training rows are unknown.
    """
    test_rows = row_identities(specification, splits.test)
    seen_rows = row_identities(specification, splits.train, splits.validation)
    overlap = int(np.isin(test_rows, seen_rows).sum())
    # Part of the certified evidence, so that it cannot be shortened.
    file = champion / CERTIFIED_EVIDENCE / SEEN_ROWS if champion else None
    if file is None or not file.exists():
        return overlap, None
    return overlap, int(np.isin(test_rows, np.load(file)).sum())
