"""Command that predicts the golden rows of a package with the installed packages: `python -m … FOLDER`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from include.inference.model import load_unverified
from include.inference.start_check import packaging_parity


@dataclass(frozen=True, slots=True)
class GoldenComparison:
    """
    Answers to the golden rows of a version with other packages than those of its training.

    Attributes
    ----------
    rows : int
    largest_difference : float
        Largest absolute difference from the predictions of the training.
    rounding : float
        Largest difference that is rounding.
    problem : str
        Why the rows cannot be predicted; empty if they can.
    """

    rows: int = 0
    largest_difference: float = 0.0
    rounding: float = 0.0
    problem: str = ""

    @property
    def is_same(self) -> bool:
        """Whether the rows are predicted as in the training, up to rounding."""
        return not self.problem and self.largest_difference <= self.rounding


def compare_golden_rows(folder: Path) -> GoldenComparison:
    """Return the comparison of the package in `folder`, whose certificate was verified."""
    try:
        return GoldenComparison(*packaging_parity(folder, load_unverified(folder)))
    except Exception as error:  # noqa: BLE001  a foreign estimator, made by other versions of its packages
        return GoldenComparison(problem=f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    # Other packages may print while they are imported.
    sys.stdout.write(f"\n{json.dumps(asdict(compare_golden_rows(Path(sys.argv[1]))))}\n")
