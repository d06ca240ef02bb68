"""Queues of requests before the model: joined into one call, bounded in number, answered by a deadline."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from include.inference.predictions import InvalidPrediction, validate_predictions
from include.inference.requests.request_body import BadRequest
from include.inference.scoring_protocol import MAX_ROWS, merge_columns

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from include.inference.model import ServedModel
    from include.inference.predictions import Predictions
    from include.inference.scoring_protocol import Rows

# Requests with more rows wait in a queue of their own.
MAX_SMALL_ROWS = 500
# Rows that the compiled twin predicts in the event loop: a change of threads would take longer.
MAX_INLINE_ROWS = 20
# Requests that wait in one queue; further ones are refused.
MAX_WAITING = 256
# Time for a large request, if the deadline of the small ones is shorter.
LARGE_DEADLINE_S = 10.0
# A call of the model that takes so many deadlines will not end.
STUCK_DEADLINES = 2.0
TOO_MANY = 429
TIMED_OUT = 504


@dataclass(frozen=True, slots=True, eq=False)
class _PendingRequest:
    """The rows of a request, and the future of its predictions."""

    rows: Rows
    predictions: asyncio.Future[Predictions]


class Batcher:
    """
    Runs the model in two threads, one for small and one for large requests.

    Requests that arrive during a call are joined into the next call. A request never waits for a batch to
    fill: if the model is idle, the call starts at once.

    Parameters
    ----------
    model
        The model.
    deadline_s
        Time from the arrival of a small request to its response.
    observe
        Gets the number of rows of each call.
    """

    def __init__(
        self,
        model: ServedModel,
        *,
        deadline_s: float = LARGE_DEADLINE_S,
        observe: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._model = model
        self._observe = observe
        self._small = _Queue(self._predict_all, "model", deadline_s)
        self._large = _Queue(self._predict_all, "model-large", max(deadline_s, LARGE_DEADLINE_S))

    @property
    def is_stuck(self) -> bool:
        """Whether a call of the model takes so long that it will not end."""
        return self._small.is_stuck or self._large.is_stuck

    async def predict(self, rows: Rows) -> Predictions:
        """
        Return the predictions of one request.

        Raises
        ------
        BadRequest
            If too many requests wait (429), or there is no response by the deadline (504).
        InvalidPrediction
            If the model failed, or its output is not a valid prediction.
        """
        if rows.count <= MAX_INLINE_ROWS:
            result = self._predict_inline(rows)
            if isinstance(result, InvalidPrediction):
                raise result
            if result is not None:
                return result
        queue = self._small if rows.count <= MAX_SMALL_ROWS else self._large
        return await queue.predict(rows)

    def _predict_inline(self, rows: Rows) -> Predictions | InvalidPrediction | None:
        """Return the result of the compiled twin; None without one, or if the estimator must be asked."""
        try:
            predictions = self._model.predict_by_twin(rows.columns, rows.count)
        # Foreign code again: the estimator answers instead.
        except Exception:  # noqa: BLE001
            return None
        if predictions is None:
            return None
        self._observe(rows.count)
        return self._validate(predictions, rows.count)

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
        n_rows = sum(request.count for request in requests)
        self._observe(n_rows)
        try:
            predictions = self._model.predict_columns(merge_columns(requests, self._model.columns), n_rows)
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


class _Queue:
    """Requests that wait for one thread."""

    def __init__(
        self,
        predict_all: Callable[[list[Rows]], list[Predictions | InvalidPrediction]],
        name: str,
        deadline_s: float,
    ) -> None:
        self._predict_all = predict_all
        self._deadline_s = deadline_s
        self._pending: list[_PendingRequest] = []
        self._thread = ThreadPoolExecutor(1, name)
        self._worker: asyncio.Task[None] | None = None
        # When the call that runs began.
        self._called_at: float | None = None

    @property
    def is_stuck(self) -> bool:
        """Whether a call takes so long that it will not end."""
        called_at = self._called_at
        return called_at is not None and time.monotonic() - called_at > STUCK_DEADLINES * self._deadline_s

    async def predict(self, rows: Rows) -> Predictions:
        """Return the predictions of one request."""
        if len(self._pending) >= MAX_WAITING:
            raise BadRequest(f"{MAX_WAITING} requests wait for the model. Try again in a moment.", TOO_MANY)
        request = _PendingRequest(rows, asyncio.get_running_loop().create_future())
        self._pending.append(request)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        try:
            async with asyncio.timeout(self._deadline_s):
                return await request.predictions
        except TimeoutError as error:
            if request in self._pending:
                self._pending.remove(request)
            raise BadRequest(
                f"The model did not answer within {self._deadline_s:g} s. Try again, or send fewer rows.",
                TIMED_OUT,
            ) from error

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while batch := self._next_batch():
            rows = [request.rows for request in batch]
            self._called_at = time.monotonic()
            try:
                results = await loop.run_in_executor(self._thread, self._predict_all, rows)
            finally:
                self._called_at = None
            for request, result in zip(batch, results, strict=True):
                # The future of a caller that disconnected, or whose time is over, is cancelled.
                if request.predictions.done():
                    continue
                if isinstance(result, InvalidPrediction):
                    request.predictions.set_exception(result)
                else:
                    request.predictions.set_result(result)

    def _next_batch(self) -> list[_PendingRequest]:
        """Remove and return the oldest requests: at most `MAX_ROWS` rows, but at least one request."""
        # Nobody waits for the predictions of the others.
        waiting = [request for request in self._pending if not request.predictions.done()]
        n_rows = 0
        n_requests = 0
        for request in waiting:
            n_rows += request.rows.count
            if n_requests and n_rows > MAX_ROWS:
                break
            n_requests += 1
        self._pending = waiting[n_requests:]
        return waiting[:n_requests]
