"""Packaged models in processes that know nothing of their training."""

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
from include.errors import DataError, ServiceUnavailable
from include.inference import model as loading
from include.modeling.transient_errors import translate_transient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pandas as pd

    Ask = Callable[[Path, str], Callable[[], "ProcessMeasurement"]]

PROJECT = Path(__file__).parents[3]
TIMEOUT_S = 120.0  # seconds
CALLS = 60
WARM_UP = 3
MEGABYTE = 1e6
PEAK, NOW = "VmHWM:", "VmRSS:"
LINE_PREFIX = '{"number": '  # how a line begins that no model has printed
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # as it is served


@dataclass(frozen=True, slots=True)
class ProcessMeasurement:
    """What the process answered to the rows, and what that took: ms for one row, and MB."""

    predictions: tuple[Any, ...]
    latency_p50_ms: float
    latency_p99_ms: float
    size_mb: float
    memory_mb: float


@contextmanager
def isolated_predictor(rows: pd.DataFrame) -> Iterator[Ask]:
    """
    Give a way to let models in folders answer `rows`, each in a new process, while the caller goes on.

    Ask for all models first: each asking gives a function that waits for the answers. It raises `DataError`
    where the model has none, and `ServiceUnavailable` where memory or the machine's time ran out. The
    processes have one clean parent, which has imported libraries and nothing else: they begin sooner.
    """
    with TemporaryDirectory(prefix="fresh-") as place:
        file = Path(place) / "rows.pickle"
        file.write_bytes(pickle.dumps(rows))
        process = subprocess.Popen(  # noqa: S603  our own interpreter and module
            [sys.executable, "-m", "include.modeling.evaluation.isolated_process", str(file)],
            cwd=PROJECT,
            env=os.environ | {"PYTHONPATH": str(PROJECT)} | ONE_THREAD,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # so that parent and children end together
        )
        asked = 0
        said = cache(lambda: _read_output(process))

        def ask(folder: Path, digest: str) -> Callable[[], ProcessMeasurement]:
            nonlocal asked
            number, asked = asked, asked + 1
            if process.stdin is not None:
                with suppress(BrokenPipeError):  # it has ended, and whoever waits is told why
                    process.stdin.write(json.dumps([str(folder), digest]) + "\n")
                    process.stdin.flush()
            return lambda: _answers(said(), number)

        try:
            yield ask
        finally:
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
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
        reason = errors.strip().splitlines()[-1:] or [f"it ended with {process.returncode}"]
        raise ServiceUnavailable(f"A fresh process could not begin: {reason[0]}. Try again.")
    return [json.loads(line) for line in output.splitlines() if line.startswith(LINE_PREFIX)]


def _answers(said: list[dict[str, Any]], number: int) -> ProcessMeasurement:
    nothing: dict[str, Any] = {"problem": "it said nothing"}
    found = next((each for each in said if each["number"] == number), nothing)
    if "accident" in found:
        raise ServiceUnavailable(found["accident"])
    if "problem" in found:
        raise DataError(f"a fresh process cannot answer: {found['problem']}")
    return ProcessMeasurement(**found["answers"] | {"predictions": tuple(found["answers"]["predictions"])})


def answer(folder: Path, digest: str, rows: pd.DataFrame) -> ProcessMeasurement:
    """Load the model of this digest and answer rows, all at once and then some of them one by one."""
    certificate.require_digest(folder, digest, "The candidate")
    model = loading.load_unverified(folder)
    predictions = model.predict(rows)
    ones = [rows.iloc[place : place + 1] for place in range(min(CALLS, len(rows)))]
    seconds = []
    for one in (*ones[:WARM_UP], *ones):
        began = time.perf_counter()
        model.predict(one)
        seconds.append(time.perf_counter() - began)
    median, worst = np.quantile(seconds[WARM_UP:], [0.5, 0.99]) * 1_000
    return ProcessMeasurement(
        predictions=tuple(predictions.tolist()),
        latency_p50_ms=float(median),
        latency_p99_ms=float(worst),
        size_mb=size_of(folder) / MEGABYTE,
        memory_mb=memory(PEAK),
    )


def size_of(folder: Path) -> int:
    """Return the bytes of a model's files, evidence and certificate aside."""
    beside = {certificate.EVIDENCE, certificate.FILE_NAME}
    files = (path for path in folder.rglob("*") if path.relative_to(folder).parts[0] not in beside)
    return sum(path.stat().st_size for path in files if path.is_file())


def memory(what: str) -> float:
    """Return how many MB this process has or had at most: getrusage counts what its parent had, too."""
    status = Path("/proc/self/status")
    if not status.exists():  # no Linux
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MEGABYTE
    found = next(line for line in status.read_text().splitlines() if line.startswith(what))
    return float(found.split()[1]) * 1_024 / MEGABYTE


def measure_model(folder: Path, digest: str, rows: pd.DataFrame) -> dict[str, Any]:
    """Return the answers of a model as plain values, or why there are none: an accident, or its own fault."""
    try:
        with translate_transient("a fresh process"):
            return {"answers": asdict(answer(folder, digest, rows))}
    except ServiceUnavailable as error:
        return {"accident": str(error)}
    except Exception as error:  # noqa: BLE001  what else a package raises, unpacked or asked, is its own fault
        return {"problem": f"{type(error).__name__}: {error}"}


def _run_child(number: int, folder: Path, digest: str, rows: pd.DataFrame) -> None:
    """Write what `attempt` returns, from a child of its own, or what ended that."""
    if any(folder.glob("*.skops")):
        import skops.io  # noqa: F401  dear: once for all models of that form, and before the fork
    imported = memory(PEAK)
    child = os.fork()
    if not child:
        shared = imported - memory(NOW)  # what this child did not have to read in once more
        found = measure_model(folder, digest, rows)
        if "answers" in found:
            found["answers"]["memory_mb"] += max(shared, 0.0)
        _say({"number": number} | found)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status:
        what = "accident" if status == -signal.SIGKILL else "problem"  # so ends what takes too much memory
        _say({"number": number, what: f"it ended with {status}"})


def _say(found: dict[str, Any]) -> None:
    print("\n" + json.dumps(found), flush=True)  # noqa: T201  a line of its own, whatever a model printed


def main(file: str) -> None:
    """Answer the rows in a file that the parent process wrote, with each model that it names."""
    rows = pickle.loads(Path(file).read_bytes())  # noqa: S301  nobody else could write there
    for number, line in enumerate(sys.stdin):
        folder, digest = json.loads(line)
        _run_child(number, Path(folder), digest, rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
