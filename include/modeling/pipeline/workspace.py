"""The task's working folder and the references that tasks hand on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from include.catalog import catalog
from include.data.snapshots.snapshot import row_hashes
from include.data.snapshots.splits import split_rows

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt
    import pandas as pd

    from include.data.snapshots.splits import Splits
    from include.declarations import UseCase
    from include.modeling.registry.registry import Registry


SEEN_ROWS, EVIDENCE, CURVE = "seen_rows.npy", "evidence.json", "learning_curve.png"


@dataclass(frozen=True, slots=True)
class Workspace:
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
class TrainedCandidate:
    """Where a trained model lies; small enough to be handed from task to task."""

    use_case: str
    run_id: str
    model_id: str
    digest: str


def split_snapshot(use_case: UseCase, frame: pd.DataFrame) -> Splits:
    """Return the rows to fit, to choose and to judge by, apart by what the label lags."""
    label = catalog().datasets[use_case.label.dataset]
    return split_rows(frame, use_case.split, lag_days=label.lag_days)


def row_identities(use_case: UseCase, *frames: pd.DataFrame) -> npt.NDArray[np.uint64]:
    """Return one hash per row of what it is about: the same whatever its features or their types were."""
    view = catalog().feature_views[use_case.feature_view]
    return np.concatenate([row_hashes(frame[[view.entity, "day"]].astype(object)) for frame in frames])
