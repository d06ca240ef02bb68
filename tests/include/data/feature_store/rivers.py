"""A small view, of which a test publishes what it needs."""

from __future__ import annotations

import numpy as np
import pandas as pd

from include.declarations import Column, FeatureView, Online, ViewSource

LEVELS = FeatureView(
    name="levels",
    owner="ann",
    description="Levels of a river.",
    sources=(ViewSource(dataset="gauges"),),
    entity="river",
    time="at",
    known_from="start",
    columns=(
        Column(name="river", dtype="string"),
        Column(name="at", dtype="timestamp"),
        Column(name="level", dtype="integer", nullable=True),
        Column(name="flow", dtype="number", nullable=True),
        Column(name="open", dtype="boolean", nullable=True),
        Column(name="town", dtype="string", nullable=True),
    ),
    online=Online(days=2),
)
MOMENT = "datetime64[us, UTC]"


def levels(day, rivers, level=1):
    count = len(rivers)
    at = pd.Series([f"{day}T12:00:00.123456Z"] * count).astype(MOMENT)
    return pd.DataFrame(
        {
            "river": rivers,
            "at": at,
            "level": pd.Series([level, *[None] * (count - 1)], dtype="Int64"),
            "flow": [0.1 + 0.2, *[np.nan] * (count - 1)],
            "open": pd.Series([True, *[None] * (count - 1)], dtype="boolean"),
            "town": ["Köln", *[None] * (count - 1)],
            "gauges_known_at": at - pd.Timedelta(hours=1),
            "_airworthy_day": str(day),
        }
    )


def publish(lake, day, *arguments):
    return lake.publish("levels", levels(day, *arguments), [day], metadata={})


def entity_rows(*rows):
    rivers, moments = zip(*rows, strict=True)
    return pd.DataFrame({"river": rivers, "at": pd.Series(moments).astype(MOMENT)})
