"""
Predictions of packaged models in isolated processes, with their cost.

ProcessPoolExecutor does not fit: BrokenProcessPool does not tell a process that was killed (an accident) from
one that crashed (the model's fault), and its workers import the parent's main module, which counts as memory.
"""

from __future__ import annotations

import json
import os
import pickle
import resource
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from include.certificates import certificate
from include.errors import ModelError, ServiceUnavailable
from include.feature_values import estimator_frame, request_values
from include.inference import model as inference
from include.modeling.transient_errors import translate_transient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pandas as pd

    WaitForMeasurement = Callable[[], "ProcessMeasurement"]
    StartPrediction = Callable[[Path], WaitForMeasurement]

PROJECT = Path(__file__).parents[3]
TIMEOUT_S = 120.0
N_CALLS = 60
N_WARM_UP_CALLS = 3
BYTES_PER_MB = 1e6
# Fields of /proc/self/status: the peak of the resident memory, and the resident memory now.
PEAK_MEMORY = "VmHWM:"
MEMORY = "VmRSS:"
# Start of the lines that hold a result; no model prints such a line.
LINE_PREFIX = '{"number": '
# As in a model server.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class ProcessMeasurement:
    """
    Predictions of an isolated process and its cost.

    The cost is the single-row latency p50 and p99 in ms, and the size of the files and the peak RSS in MB.
    """

    predictions: tuple[Any, ...]
    latency_p50_ms: float
    latency_p99_ms: float
    size_mb: float
    memory_mb: float


@contextmanager
def isolated_predictor(rows: pd.DataFrame) -> Iterator[StartPrediction]:
    """
    Yield a function that starts the prediction of `rows` by a packaged model in a new process.

    Start all models first: each start returns a function that waits for the measurement. It raises ModelError
    if the model cannot predict, and ServiceUnavailable if memory or time ran out. The processes are forked
    from one parent that has imported libraries and no data, so that they start sooner.

    The package must have been verified: loading it runs what it contains.
    """
    with TemporaryDirectory(prefix="isolated-") as folder:
        file = Path(folder) / "rows.pickle"
        file.write_bytes(pickle.dumps(rows))
        process = subprocess.Popen(  # noqa: S603  our own interpreter and module
            [sys.executable, "-m", "include.modeling.evaluation.isolated_process", str(file)],
            cwd=PROJECT,
            env=os.environ | {"PYTHONPATH": str(PROJECT)} | ONE_THREAD,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # One process group, which `_kill` ends as a whole.
            start_new_session=True,
        )
        n_started = 0
        read_results = cache(lambda: _read_output(process))

        def start(package: Path) -> WaitForMeasurement:
            nonlocal n_started
            number = n_started
            n_started += 1
            if process.stdin is not None:
                # A process that has ended is reported when its results are read.
                with suppress(BrokenPipeError):
                    process.stdin.write(json.dumps(str(package)) + "\n")
                    process.stdin.flush()
            return lambda: _measurement(read_results(), number)

        try:
            yield start
        finally:
            _kill(process)


def _kill(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def _read_output(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    try:
        output, errors = process.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise ServiceUnavailable(
            f"The isolated process did not answer within {TIMEOUT_S:g} s: the machine is too busy, or "
            "the model hangs. Try again when the machine is less busy."
        ) from error
    if process.returncode:
        last_lines = errors.strip().splitlines()[-1:] or [f"it ended with {process.returncode}"]
        raise ServiceUnavailable(f"The isolated process could not start: {last_lines[0]}. Try again.")
    return [json.loads(line) for line in output.splitlines() if line.startswith(LINE_PREFIX)]


def _measurement(results: list[dict[str, Any]], number: int) -> ProcessMeasurement:
    result = next((result for result in results if result["number"] == number), None)
    if result is None:
        raise ModelError("the model cannot predict in an isolated process: there is no result")
    if "accident" in result:
        raise ServiceUnavailable(result["accident"])
    if "problem" in result:
        raise ModelError(f"the model cannot predict in an isolated process: {result['problem']}")
    figures = result["measurement"]
    return ProcessMeasurement(**figures | {"predictions": tuple(figures["predictions"])})


def measure_package(package: Path, rows: pd.DataFrame) -> ProcessMeasurement:
    """Load a verified package, and predict the rows at once and then some one by one, as it is served."""
    model = inference.load_unverified(package)
    predictions = model.predict(rows)
    single_rows = list(_single_rows(model, rows.head(N_CALLS)))
    seconds = []
    for row in (*single_rows[:N_WARM_UP_CALLS], *single_rows):
        start = time.perf_counter()
        model.predict_columns(row, 1)
        seconds.append(time.perf_counter() - start)
    p50, p99 = np.quantile(seconds[N_WARM_UP_CALLS:], [0.5, 0.99]) * 1_000
    return ProcessMeasurement(
        predictions=tuple(predictions.tolist()),
        latency_p50_ms=float(p50),
        latency_p99_ms=float(p99),
        size_mb=package_size(package) / BYTES_PER_MB,
        memory_mb=process_memory(PEAK_MEMORY),
    )


def _single_rows(model: inference.ServedModel, rows: pd.DataFrame) -> Iterator[dict[str, list[Any]]]:
    """Yield each row as the columns of a request."""
    typed = estimator_frame(rows, model.columns)
    columns = {name: request_values(typed[name], kind) for name, kind in model.columns.items()}
    for number in range(len(rows)):
        yield {name: [values[number]] for name, values in columns.items()}


def package_size(package: Path) -> int:
    """Return the bytes of a model's files, without evidence and certificate."""
    excluded = {certificate.EVIDENCE, certificate.FILE_NAME}
    paths = (path for path in package.rglob("*") if path.relative_to(package).parts[0] not in excluded)
    return sum(path.stat().st_size for path in paths if path.is_file())


def process_memory(field: str) -> float:
    """Return `PEAK_MEMORY` or `MEMORY` of this process in MB."""
    status = Path("/proc/self/status")
    if not status.exists():
        # Other systems than Linux. The figure includes what the parent had at the fork.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / BYTES_PER_MB
    line = next(line for line in status.read_text().splitlines() if line.startswith(field))
    return float(line.split()[1]) * 1_024 / BYTES_PER_MB


def measure_result(package: Path, rows: pd.DataFrame) -> dict[str, Any]:
    """Return a `measurement` as plain values, an `accident`, or a `problem` of the model."""
    try:
        with translate_transient("The prediction in an isolated process"):
            return {"measurement": asdict(measure_package(package, rows))}
    except ServiceUnavailable as error:
        return {"accident": str(error)}
    except Exception as error:  # noqa: BLE001  whatever else a package raises is its own fault
        return {"problem": f"{type(error).__name__}: {error}"}


def _run_child(number: int, package: Path, rows: pd.DataFrame) -> None:
    """Write the result of a package from a child process, or how the child ended."""
    if any(package.glob("*.skops")):
        # Slow to import: once for all models of this format, before the fork.
        import skops.io  # noqa: F401
    memory_before = process_memory(PEAK_MEMORY)
    child = os.fork()
    if not child:
        # Memory of the imports that the child shares with its parent.
        shared = memory_before - process_memory(MEMORY)
        result = measure_result(package, rows)
        if "measurement" in result:
            result["measurement"]["memory_mb"] += max(shared, 0.0)
        _write({"number": number} | result)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status:
        # The kernel kills what takes too much memory.
        kind = "accident" if status == -signal.SIGKILL else "problem"
        _write({"number": number, kind: f"it ended with {status}"})


def _write(result: dict[str, Any]) -> None:
    # On a line of its own, whatever a model has printed.
    print("\n" + json.dumps(result), flush=True)  # noqa: T201


def main(file: str) -> None:
    """Measure each package that standard input names, on the rows in a file of the parent process."""
    rows = pickle.loads(Path(file).read_bytes())  # noqa: S301  the parent's own temporary folder
    for number, line in enumerate(sys.stdin):
        _run_child(number, Path(json.loads(line)), rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
