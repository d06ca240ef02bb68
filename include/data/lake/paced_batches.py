"""Batches of rows for a writer that queues all it gets: they wait while the process holds too much memory."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pyarrow as pa

# Delta's writer reads batches ahead without a bound, while it encodes and stores the rows more slowly.
MAX_QUEUED_BYTES = 768 << 20
POLL_INTERVAL_S = 0.02
# Memory that other threads hold delays a batch by this much, and stops nothing.
MAX_WAIT_S = 1.0


def pace(batches: Iterable[pa.RecordBatch], *, max_bytes: int = MAX_QUEUED_BYTES) -> Iterator[pa.RecordBatch]:
    """
    Yield each batch once the process holds at most `max_bytes` more memory than at the start, or after 1 s.

    Parameters
    ----------
    batches
        The rows; each batch is made when it is asked for.
    max_bytes
        Limit of the resident memory in bytes, above that of the first batch.
    """
    process = psutil.Process()
    limit = process.memory_info().rss + max_bytes
    for batch in batches:
        deadline = time.monotonic() + MAX_WAIT_S
        while process.memory_info().rss > limit and time.monotonic() < deadline:
            time.sleep(POLL_INTERVAL_S)
        yield batch
