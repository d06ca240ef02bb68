"""`python -m include.modeling.fresh`: a packaged model in a process that knows nothing of its training."""

from __future__ import annotations

import json
import os
import pickle
import resource
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from include.errors import DataError, ServiceUnavailable
from include.modeling import certificate
from include.serving import loading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pandas as pd

PROJECT = Path(__file__).parents[2]
PATIENCE = 120.0  # seconds
CALLS = 60
WARM_UP = 3
MEGABYTE = 1e6


@dataclass(frozen=True, slots=True)
class Answers:
    """What the process answered to the rows, and what that took: ms for one row, and MB."""

    predictions: tuple[Any, ...]
    latency_p50_ms: float
    latency_p99_ms: float
    size_mb: float
    memory_mb: float


@contextmanager
def asking(folder: Path, digest: str, rows: pd.DataFrame) -> Iterator[Callable[[], Answers]]:
    """
    Let a new process load the model in `folder` and answer `rows`, while the caller does something else.

    The function that is given waits for its answers. It raises `DataError` where the model has none, and
    `ServiceUnavailable` where the machine is too busy to tell.
    """
    with TemporaryDirectory(prefix="fresh-") as place:
        file = Path(place) / "rows.pickle"
        file.write_bytes(pickle.dumps(rows))
        process = subprocess.Popen(  # noqa: S603  our own interpreter and module
            [sys.executable, "-m", "include.modeling.fresh", str(folder), digest, str(file)],
            cwd=PROJECT,
            env=os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield lambda: _answers(process)
        finally:
            process.kill()
            process.communicate()


def _answers(process: subprocess.Popen[str]) -> Answers:
    try:
        output, errors = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired as error:
        raise ServiceUnavailable(
            f"A fresh process did not answer {PATIENCE:g} s after it was needed: the machine is too busy, or "
            "the model hangs. Try again when there is less to do."
        ) from error
    if process.returncode:
        reason = errors.strip().splitlines()[-1:] or [f"it ended with {process.returncode}"]
        raise DataError(f"a fresh process cannot answer: {reason[0]}")
    found = json.loads(output.splitlines()[-1])
    return Answers(**found | {"predictions": tuple(found["predictions"])})


def answer(folder: Path, digest: str, rows: pd.DataFrame) -> Answers:
    """Load the model of this digest and answer rows, all at once and then some of them one by one."""
    certificate.require(folder, digest, "The candidate")
    model = loading.unpack(folder)
    predictions = model.predict(rows)
    ones = [rows.iloc[place : place + 1] for place in range(min(CALLS, len(rows)))]
    seconds = []
    for one in (*ones[:WARM_UP], *ones):
        began = time.perf_counter()
        model.predict(one)
        seconds.append(time.perf_counter() - began)
    median, worst = np.quantile(seconds[WARM_UP:], [0.5, 0.99]) * 1_000
    return Answers(
        predictions=tuple(predictions.tolist()),
        latency_p50_ms=float(median),
        latency_p99_ms=float(worst),
        size_mb=size_of(folder) / MEGABYTE,
        memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024 / MEGABYTE,
    )


def size_of(folder: Path) -> int:
    """Return the bytes of a model's files, evidence and certificate aside."""
    beside = {certificate.EVIDENCE, certificate.FILE_NAME}
    files = (path for path in folder.rglob("*") if path.relative_to(folder).parts[0] not in beside)
    return sum(path.stat().st_size for path in files if path.is_file())


def main(folder: str, digest: str, file: str) -> dict[str, Any]:
    """Answer the rows in a file that the parent process wrote."""
    rows = pickle.loads(Path(file).read_bytes())  # noqa: S301  nobody else could write there
    return asdict(answer(Path(folder), digest, rows))


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))  # noqa: T201  this is the answer
