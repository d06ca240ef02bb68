"""How many days after their predictions labels land, by the publications of the label's dataset."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from include.declarations.base import INTERNAL_PREFIX
from include.monitoring.windows import AT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

DAY_S = 86_400
# Day of the partition of a prediction's label.
LABEL_DAY = f"{INTERNAL_PREFIX}label_day"
# Whether a label has landed, and whether it was due.
LANDED = f"{INTERNAL_PREFIX}landed"
DUE = f"{INTERNAL_PREFIX}due"
# Days of the curve.
MAX_DAYS = 60
# A window is final once this share of the labels that ever came has landed.
MATURE_SHARE = 0.95
# With fewer predictions of an age, the curve ends.
MIN_PREDICTIONS = 100


def measure_maturity(predicted_at: pd.Series, landed_at: pd.Series, now: datetime) -> dict[str, Any]:
    """
    Return the maturity curve: the share of the labels that had landed n days after the prediction.

    Of each n, only predictions that are at least n days old count, so that recent ones do not look as if
    their labels never came.

    Parameters
    ----------
    predicted_at
        Time of each prediction in UTC, (n,).
    landed_at
        When its label was published, (n,); NaT if it was not.
    now
        Moment that is looked back from.

    Returns
    -------
    dict
        `shares`, one for each day from 0 on, and `mature_after`, the first day with 95 % of the last share.
        Both are missing if there are fewer than 100 predictions.
    """
    age = (pd.Timestamp(now) - predicted_at).dt.total_seconds().to_numpy(dtype=np.float64) / DAY_S
    delay = (landed_at - predicted_at).dt.total_seconds().to_numpy(dtype=np.float64) / DAY_S
    shares: list[float] = []
    for number in range(MAX_DAYS + 1):
        is_old = age >= number
        if is_old.sum() < MIN_PREDICTIONS:
            break
        shares.append(float(np.mean(delay[is_old] <= number)))
    if not shares:
        return {}
    mature = next(number for number, share in enumerate(shares) if share >= MATURE_SHARE * max(shares))
    return {"shares": shares, "mature_after": mature if max(shares) > 0 else None}


def landing_times(days: pd.Series, published: Mapping[Any, datetime]) -> pd.Series:
    """Return when the partition of each label was published, (n,); NaT without a label or publication."""
    moments = {str(day): pd.Timestamp(moment) for day, moment in published.items()}
    return pd.to_datetime(days.astype(object).map(moments, na_action="ignore"), utc=True)


def measure_maturity_of(
    joined: Sequence[pd.DataFrame], published: Mapping[str, datetime], now: datetime
) -> dict[str, Any]:
    """Return the maturity curve of predictions with `AT` and `LABEL_DAY`; empty without publications."""
    parts = [rows[[AT, LABEL_DAY]] for rows in joined if len(rows)]
    if not parts or not published:
        return {}
    predicted_at = pd.concat([pd.to_datetime(rows[AT], utc=True) for rows in parts], ignore_index=True)
    days = pd.concat([rows[LABEL_DAY].astype("string") for rows in parts], ignore_index=True)
    return measure_maturity(predicted_at, landing_times(days, published), now)


def is_maturing(window: tuple[datetime, datetime] | None, maturity: Mapping[str, Any], now: datetime) -> bool:
    """Return whether labels of a window still come, by the curve."""
    days = maturity.get("mature_after")
    return days is not None and window is not None and now - window[1] < timedelta(days=days)
