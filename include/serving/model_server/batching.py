"""Batching of concurrent requests into one call of the model."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from include.inference.predictions import InvalidPrediction, validate_predictions
from include.inference.scoring_protocol import MAX_ROWS, frame

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from include.inference.model import ServedModel
    from include.inference.predictions import Predictions
    from include.inference.scoring_protocol import Rows


@dataclass(frozen=True, slots=True)
class _PendingRequest:
    """The rows of a request, and the future of its predictions."""

    rows: Rows
    predictions: asyncio.Future[Predictions]


class Batcher:
    """
    Runs the model in one thread and joins the requests that arrive during a call into the next call.

    A request never waits for a batch to fill: if the model is idle, the call starts at once.
    """

    def __init__(self, model: ServedModel, *, observe: Callable[[int], None] = lambda _: None) -> None:
        self._model = model
        self._observe = observe
        self._pending: list[_PendingRequest] = []
        self._thread = ThreadPoolExecutor(1, "model")
        self._worker: asyncio.Task[None] | None = None

    async def predict(self, rows: Rows) -> Predictions:
        """
        Return the predictions of one request.

        Raises
        ------
        InvalidPrediction
            If the model failed, or its output is not a valid prediction.
        """
        request = _PendingRequest(rows, asyncio.get_running_loop().create_future())
        self._pending.append(request)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await request.predictions

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._pending:
            batch = self._next_batch()
            rows = [request.rows for request in batch]
            results = await loop.run_in_executor(self._thread, self._predict_all, rows)
            for request, result in zip(batch, results, strict=True):
                # The future of a caller that disconnected is cancelled.
                if request.predictions.done():
                    continue
                if isinstance(result, InvalidPrediction):
                    request.predictions.set_exception(result)
                else:
                    request.predictions.set_result(result)

    def _next_batch(self) -> list[_PendingRequest]:
        """Remove and return the oldest requests: at most `MAX_ROWS` rows, but at least one request."""
        n_rows = 0
        n_requests = 0
        for request in self._pending:
            n_rows += request.rows.count
            if n_requests and n_rows > MAX_ROWS:
                break
            n_requests += 1
        batch = self._pending[:n_requests]
        self._pending = self._pending[n_requests:]
        return batch

    def _predict_all(self, requests: list[Rows]) -> list[Predictions | InvalidPrediction]:
        """Return the result of each request; a request that failed in a batch is repeated alone."""
        results = self._call_model(requests)
        if len(requests) == 1:
            return results
        return [
            self._call_model([request])[0] if isinstance(result, InvalidPrediction) else result
            for request, result in zip(requests, results, strict=True)
        ]

    def _call_model(self, requests: list[Rows]) -> list[Predictions | InvalidPrediction]:
        self._observe(sum(request.count for request in requests))
        try:
            predictions = self._model.predict(frame(requests, self._model.columns))
        except Exception as error:  # noqa: BLE001  the estimator is foreign code and may raise anything
            failure = InvalidPrediction(f"the model failed with {type(error).__name__}: {error}")
            return [failure] * len(requests)
        ends = list(accumulate(request.count for request in requests))
        starts = [0, *ends[:-1]]
        if predictions.shape[:1] == (ends[-1],):
            parts = [predictions[start:end] for start, end in zip(starts, ends, strict=True)]
        else:
            # The number of rows is wrong: the check of each request reports the shape.
            parts = [predictions] * len(requests)
        return [self._validate(part, request.count) for part, request in zip(parts, requests, strict=True)]

    def _validate(self, predictions: np.ndarray, n_rows: int) -> Predictions | InvalidPrediction:
        model = self._model
        try:
            return validate_predictions(
                predictions, n_rows, model.prediction_range, n_classes=len(model.classes)
            )
        except InvalidPrediction as error:
            return error
