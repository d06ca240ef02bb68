"""Answer concurrent requests with one call of the model."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from include.inference.scoring_protocol import MAX_ROWS, InvalidPrediction, check_predictions, frame

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from include.inference.model import ServedModel
    from include.inference.scoring_protocol import Predictions, Rows


@dataclass(frozen=True, slots=True)
class _Waiting:
    rows: Rows
    answer: asyncio.Future[Predictions]


class Batcher:
    """
    Requests that arrive while the model works wait, and are then answered by its next call together.

    Nobody waits for a batch to fill: an idle model answers at once.
    """

    def __init__(self, model: ServedModel, *, observe: Callable[[int], None] = lambda _: None) -> None:
        self._model = model
        self._observe = observe
        self._waiting: list[_Waiting] = []
        self._thread = ThreadPoolExecutor(1, "model")
        self._worker: asyncio.Task[None] | None = None

    async def predict(self, rows: Rows) -> Predictions:
        """
        Return the predictions of one request.

        :raises Nonsense: if the model failed, or did not answer with predictions
        """
        mine = _Waiting(rows, asyncio.get_running_loop().create_future())
        self._waiting.append(mine)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await mine.answer

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch = self._take()
            answers = await loop.run_in_executor(self._thread, self._answers, [each.rows for each in batch])
            for each, answer in zip(batch, answers, strict=True):
                if each.answer.done():  # the caller went away
                    continue
                if isinstance(answer, InvalidPrediction):
                    each.answer.set_exception(answer)
                else:
                    each.answer.set_result(answer)

    def _take(self) -> list[_Waiting]:
        rows = taken = 0
        for each in self._waiting:
            rows += each.rows.count
            if taken and rows > MAX_ROWS:
                break
            taken += 1
        batch, self._waiting = self._waiting[:taken], self._waiting[taken:]
        return batch

    def _answers(self, requests: list[Rows]) -> list[Predictions | InvalidPrediction]:
        answers = self._call(requests)
        if len(requests) == 1:
            return answers
        # asked again alone, so that one request never spoils another's answer
        return [
            self._call([request])[0] if isinstance(answer, InvalidPrediction) else answer
            for request, answer in zip(requests, answers, strict=True)
        ]

    def _call(self, requests: list[Rows]) -> list[Predictions | InvalidPrediction]:
        self._observe(sum(request.count for request in requests))
        try:
            predictions = self._model.predict(frame(requests, self._model.columns))
        except Exception as error:  # noqa: BLE001  somebody's model: whatever it raises is its answer
            return [InvalidPrediction(f"the model failed with {type(error).__name__}: {error}")] * len(
                requests
            )
        ends = list(accumulate(request.count for request in requests))
        starts = [0, *ends[:-1]]
        whole = predictions.shape[:1] == (ends[-1],)
        parts = [
            predictions[start:end] if whole else predictions for start, end in zip(starts, ends, strict=True)
        ]
        return [self._checked(part, request.count) for part, request in zip(parts, requests, strict=True)]

    def _checked(self, predictions: np.ndarray, rows: int) -> Predictions | InvalidPrediction:
        try:
            return check_predictions(
                predictions, rows, self._model.prediction_range, classes=len(self._model.classes)
            )
        except InvalidPrediction as error:
            return error
