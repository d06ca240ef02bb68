from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from include.inference.scoring_protocol import InvalidPrediction, Rows
from include.serving.model_server.batching import Batcher


@dataclass
class Echo:
    """Answers each row with its x; fails at 13, and answers nonsense at 0.5."""

    columns: dict[str, str] = field(default_factory=lambda: {"x": "double"})
    prediction_range: tuple[float, float] = (-1e9, 1e9)
    classes: tuple[str, ...] = ()
    calls: list[int] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)

    def predict(self, frame: Any) -> Any:
        self.gate.wait(5)
        self.calls.append(len(frame))
        if (frame["x"] == 13).any():
            raise ValueError("unlucky")
        return np.where(frame["x"] == 0.5, np.nan, frame["x"])


def ask(model: Echo, values: list[float]) -> list[Any]:
    async def together() -> list[Any]:
        batcher = Batcher(model)
        asked = [asyncio.create_task(batcher.predict(Rows({"x": [value]}, 1))) for value in values]
        await asyncio.sleep(0.05)
        model.gate.set()
        return await asyncio.gather(*asked, return_exceptions=True)

    return asyncio.run(together())


def test_concurrent_requests_share_calls_and_get_their_own_answers() -> None:
    model = Echo()
    assert ask(model, [float(n) + 20 for n in range(50)]) == [[n + 20] for n in range(50)]
    assert len(model.calls) <= 2


@pytest.mark.parametrize(("bad", "said"), [(13.0, "unlucky"), (0.5, "finite")])
def test_one_bad_request_spoils_no_other(bad: float, said: str) -> None:
    answers = ask(Echo(), [1.0, bad, 2.0, 3.0])
    assert [answers[0], *answers[2:]] == [[1.0], [2.0], [3.0]]
    assert isinstance(answers[1], InvalidPrediction)
    assert said in str(answers[1])


def test_a_batch_has_a_limit() -> None:
    async def together() -> list[list[float]]:
        batcher = Batcher(model)
        rows = [Rows({"x": [float(n)] * 6_000}, 6_000) for n in range(4)]
        return await asyncio.gather(*(batcher.predict(each) for each in rows))

    model = Echo()
    model.gate.set()
    answers = asyncio.run(together())
    assert [answer[0] for answer in answers] == [0, 1, 2, 3]
    assert max(model.calls) <= 10_000


@dataclass
class Classes(Echo):
    """Answers each row with three probabilities; no answer at all from 0.9 on."""

    prediction_range: tuple[float, float] = (0, 1)
    classes: tuple[str, ...] = ("a", "b", "c")

    def predict(self, frame: Any) -> Any:
        self.gate.wait(5)
        first = frame["x"].to_numpy()
        return np.column_stack([first, 0.9 - first, np.full(len(first), 0.1)])


def test_each_request_gets_the_probabilities_of_its_own_rows() -> None:
    answers = ask(Classes(), [0.25, 0.95, 0.5])
    assert answers[0] == [[0.25, 0.65, 0.1]]
    assert answers[2] == [[0.5, 0.4, 0.1]]
    assert isinstance(answers[1], InvalidPrediction)
