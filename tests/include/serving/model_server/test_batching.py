from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest

from include.inference.predictions import InvalidPrediction
from include.inference.scoring_protocol import Rows
from include.serving.model_server.batching import Batcher


@dataclass
class Echo:
    """Predicts x for each row; raises an error at 13 and predicts NaN at 0.5."""

    columns: dict[str, str] = field(default_factory=lambda: {"x": "double"})
    prediction_range: tuple[float, float] = (-1e9, 1e9)
    classes: tuple[str, ...] = ()
    calls: list[int] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)

    def predict_by_twin(self, columns: Any, n_rows: int) -> None:
        """Return nothing: this model has no compiled twin."""

    def predict_columns(self, columns: Any, n_rows: int) -> Any:
        return self.predict(pd.DataFrame(columns))

    def predict(self, frame: Any) -> Any:
        self.gate.wait(60)
        self.calls.append(len(frame))
        if (frame["x"] == 13).any():
            raise ValueError("thirteen")
        return np.where(frame["x"] == 0.5, np.nan, frame["x"])


def predict_together(model: Echo, values: list[float]) -> list[Any]:
    """Return the results of concurrent requests of one row each."""

    async def together() -> list[Any]:
        batcher = Batcher(model)
        tasks = [asyncio.create_task(batcher.predict(Rows({"x": [value]}, 1))) for value in values]
        await asyncio.sleep(0.05)
        model.gate.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    return asyncio.run(together())


def test_concurrent_requests_share_calls_of_the_model() -> None:
    model = Echo()
    assert predict_together(model, [float(n) + 20 for n in range(50)]) == [[n + 20] for n in range(50)]
    assert len(model.calls) <= 2


@pytest.mark.parametrize(("bad", "message"), [(13.0, "thirteen"), (0.5, "finite")])
def test_a_bad_request_does_not_affect_others_of_its_batch(bad: float, message: str) -> None:
    results = predict_together(Echo(), [1.0, bad, 2.0, 3.0])
    assert [results[0], *results[2:]] == [[1.0], [2.0], [3.0]]
    assert isinstance(results[1], InvalidPrediction)
    assert message in str(results[1])


def test_a_batch_has_at_most_the_maximum_of_rows() -> None:
    async def together() -> list[list[float]]:
        batcher = Batcher(model)
        requests = [Rows({"x": [float(n)] * 6_000}, 6_000) for n in range(4)]
        return await asyncio.gather(*map(batcher.predict, requests))

    model = Echo()
    model.gate.set()
    results = asyncio.run(together())
    assert [predictions[0] for predictions in results] == [0, 1, 2, 3]
    assert max(model.calls) <= 10_000


@dataclass
class Classes(Echo):
    """Predicts three probabilities for each row; they are invalid above 0.9."""

    prediction_range: tuple[float, float] = (0, 1)
    classes: tuple[str, ...] = ("a", "b", "c")

    def predict(self, frame: Any) -> Any:
        self.gate.wait(60)
        first = frame["x"].to_numpy()
        return np.column_stack([first, 0.9 - first, np.full(len(first), 0.1)])


def test_each_request_gets_the_probabilities_of_its_own_rows() -> None:
    results = predict_together(Classes(), [0.25, 0.95, 0.5])
    assert results[0] == [[0.25, 0.65, 0.1]]
    assert results[2] == [[0.5, 0.4, 0.1]]
    assert isinstance(results[1], InvalidPrediction)
