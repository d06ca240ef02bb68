from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest

from include.inference.predictions import InvalidPrediction
from include.inference.requests.request_body import BadRequest
from include.inference.scoring_protocol import Rows
from include.serving.model_server import batching
from include.serving.model_server.batching import MAX_SMALL_ROWS, Batcher


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


def rows_of(value: float, count: int = 1) -> Rows:
    return Rows({"x": [value] * count}, count)


def test_a_large_request_does_not_hold_up_a_small_one() -> None:
    class SlowForMany(Echo):
        def predict(self, frame: Any) -> Any:
            if len(frame) > MAX_SMALL_ROWS:
                self.gate.wait(60)
            return frame["x"].to_numpy()

    async def together() -> tuple[list[float], list[float]]:
        batcher = Batcher(model)
        large = asyncio.create_task(batcher.predict(rows_of(1.0, MAX_SMALL_ROWS + 1)))
        await asyncio.sleep(0.05)
        small = await batcher.predict(rows_of(2.0))
        assert not large.done()
        model.gate.set()
        return small, await large

    model = SlowForMany()
    small, large = asyncio.run(together())
    assert (small, len(large)) == ([2.0], MAX_SMALL_ROWS + 1)


def test_a_full_queue_refuses_with_429(monkeypatch) -> None:
    monkeypatch.setattr(batching, "MAX_WAITING", 3)
    results = predict_together(Echo(), [float(n) + 20 for n in range(6)])
    refused = [result for result in results if isinstance(result, BadRequest)]
    assert {error.status for error in refused} == {429}
    assert len(refused) in {2, 3}
    assert [20.0] in results


def test_a_model_that_hangs_is_given_up_and_noticed() -> None:
    async def together() -> list[Any]:
        batcher = Batcher(model, deadline_s=0.1)
        first = asyncio.create_task(batcher.predict(rows_of(1.0)))
        await asyncio.sleep(0.02)
        tasks = [first, *(asyncio.create_task(batcher.predict(rows_of(float(n)))) for n in (2, 3))]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert not batcher.is_stuck
        while not batcher.is_stuck:
            await asyncio.sleep(0.01)
        model.gate.set()
        # Requests that were given up are not computed any more.
        assert await batcher.predict(rows_of(7.0)) == [7.0]
        assert not batcher.is_stuck
        return results

    model = Echo()
    results = asyncio.run(together())
    assert [error.status for error in results] == [504] * 3
    assert "within 0.1 s" in str(results[0])
    assert model.calls == [1, 1]


class Twin(Echo):
    """A model whose compiled twin refuses negative numbers."""

    def predict_by_twin(self, columns: Any, n_rows: int) -> Any:
        if columns["x"][0] == 99:
            raise ZeroDivisionError
        return None if columns["x"][0] < 0 else np.array(columns["x"]) + 0.25


@pytest.mark.parametrize(("value", "expected"), [(1.0, 1.25), (-1.0, -1.0), (99.0, 99.0)])
def test_the_twin_answers_unless_it_refuses(value, expected) -> None:
    model = Twin()
    model.gate.set()
    assert asyncio.run(Batcher(model).predict(rows_of(value))) == [expected]


def test_an_invalid_prediction_of_the_twin_is_refused() -> None:
    with pytest.raises(InvalidPrediction, match="outside"):
        asyncio.run(Batcher(Twin()).predict(rows_of(2e9)))
