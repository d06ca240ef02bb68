"""Models to explain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sklearn.linear_model import LinearRegression

from include.inference.model import Interface, ServedModel, load_unverified

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def served(packaged: Path) -> ServedModel:
    return load_unverified(packaged)


def linear(flights: Any, names: tuple[str, ...] = ("distance", "hour", "pressure")) -> Any:
    """Return a linear model of rows without missing values, whose Shapley values are known exactly."""
    rows = flights(task="regression")
    rows = rows.fillna(rows.mean(numeric_only=True))
    model = LinearRegression().fit(rows[list(names)], rows["_airworthy_target"])
    columns = {name: "long" if name == "hour" else "double" for name in names}
    interface = Interface("air_time", "regression", columns, (0, 1000))
    return ServedModel(model, interface), rows
