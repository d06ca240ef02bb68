"""Batch predictions for a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from include.data.lake.dtypes import to_frame
from include.modeling.batch_scoring.scorer import BatchScorer

if TYPE_CHECKING:
    import pandas as pd


def score_frame(use_case: Any, spine: Any, model: Any, frame: pd.DataFrame, *, version: int) -> pd.DataFrame:
    """Return the predictions of a version for the rows of a frame, as batch scoring stages them."""
    rows = pa.Table.from_pandas(frame, preserve_index=False)
    return to_frame(BatchScorer(use_case, spine, model, version).score(rows))
