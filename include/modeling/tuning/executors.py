"""Share trials: in this process, between processes of this machine, or over a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cloudpickle

from include.errors import ServiceUnavailable, SettingsError
from include.modeling.tuning.trial import TrialResult, run_trial

if TYPE_CHECKING:
    from distributed import Client, Future

    from include.declarations import Tuning
    from include.modeling.tuning.trial import TrialJob

Ask = Callable[[Sequence[tuple[int, Mapping[str, Any]]]], Iterator[tuple[int, TrialResult]]]

WORKER_TIMEOUT_S = 60
RETRIES = 3  # of a trial whose worker died


@contextmanager
def trial_executor(tuning: Tuning, work: TrialJob, folder: Path) -> Iterator[Ask]:
    """
    Give a way to measure numbered parameters, each outcome as soon as it is there; `folder` is for scratch.

    :raises ServiceUnavailable: if the cluster is away, or a process of this machine died
    :raises SettingsError: if a worker of the cluster runs other code or libraries
    """
    if tuning.dask is not None:
        with _cluster(tuning.dask) as client:
            yield _on_dask(client, tuning.dask, work)
    elif tuning.workers > 1:
        path = folder / "work.pickle"
        path.write_bytes(work.to_bytes())
        yield _on_joblib(tuning.workers, path)
    else:
        yield lambda batch: ((number, run_trial(work, parameters)) for number, parameters in batch)


def _on_joblib(count: int, path: Path) -> Ask:
    def ask(batch: Sequence[tuple[int, Mapping[str, Any]]]) -> Iterator[tuple[int, TrialResult]]:
        from joblib import Parallel, delayed
        from joblib.externals.loky.process_executor import BrokenProcessPool

        shared = Parallel(n_jobs=count, backend="loky", return_as="generator_unordered")
        try:
            yield from shared(delayed(_numbered)(str(path), *trial) for trial in batch)
        except BrokenProcessPool as error:
            raise ServiceUnavailable(
                f"A process that measured trials died: {error}. The trials that had ended are kept; with "
                "too little memory declare fewer `tuning.workers`."
            ) from error

    return ask


def _numbered(path: str, number: int, parameters: Mapping[str, Any]) -> tuple[int, TrialResult]:
    return number, run_trial(_read(path), parameters)


@lru_cache(maxsize=1)
def _read(path: str) -> TrialJob:
    work: TrialJob = cloudpickle.loads(Path(path).read_bytes())
    return work


@contextmanager
def _cluster(address: str) -> Iterator[Client]:
    from distributed import Client

    try:
        client = Client(address, timeout=WORKER_TIMEOUT_S, set_as_default=False)
    except OSError as error:
        raise ServiceUnavailable(
            f"Dask's scheduler {address} does not answer: {error}. Try again."
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=WORKER_TIMEOUT_S)
        except TimeoutError as error:
            raise ServiceUnavailable(
                f"Dask's scheduler {address} has no worker: {error}. Start one and try again."
            ) from error
        yield client


def _on_dask(client: Client, address: str, work: TrialJob) -> Ask:
    # As a task, not scattered: when the worker that holds the rows dies, another one gets them again.
    rows = client.submit(cloudpickle.loads, work.to_bytes(), pure=False)
    ours = _code()

    def ask(batch: Sequence[tuple[int, Mapping[str, Any]]]) -> Iterator[tuple[int, TrialResult]]:
        from distributed import as_completed

        client.replicate([rows])  # to who is there by now: trials go where the rows are
        futures: dict[Future[Any], int] = {
            client.submit(_run_remote, rows, parameters, pure=False, retries=RETRIES): number
            for number, parameters in batch
        }
        for future in as_completed(list(futures), loop=client.loop):
            outcome, theirs = _result(future)
            if theirs != ours:
                raise SettingsError(
                    f"A worker of {address} runs {theirs}, and this task {ours}. Deploy the "
                    "same code and locked requirements on the cluster."
                )
            yield futures[future], outcome

    return ask


def _result(future: Future[Any]) -> tuple[TrialResult, str]:
    from distributed import KilledWorker
    from distributed.client import FutureCancelledError
    from distributed.comm.core import CommClosedError

    try:
        outcome, code = future.result()
    except KilledWorker as error:
        return TrialResult((), 0.0, f"it killed its workers, such as by its need of memory: {error}"), _code()
    except (FutureCancelledError, CommClosedError, OSError) as error:
        raise ServiceUnavailable(f"Dask's scheduler was lost: {error}. Try again.") from error
    return outcome, code


def _run_remote(work: TrialJob, parameters: Mapping[str, Any]) -> tuple[TrialResult, str]:
    return run_trial(work, parameters), _code()


def _code() -> str:
    from include.modeling.registry.provenance import code_version, lock_hash

    return f"code {code_version()}, requirements {lock_hash()[:12]}"
