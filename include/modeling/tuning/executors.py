"""Executors of trials: this process, several processes of this machine, or a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cloudpickle

from include.errors import ServiceUnavailable, SettingsError
from include.modeling.tuning.trial import TrialPart, TrialResult, run_trial

if TYPE_CHECKING:
    from distributed import Client, Future

    from include.declarations import Tuning
    from include.modeling.tuning.trial import TrialJob

Batch = Sequence[tuple[int, Mapping[str, Any]]]
TrialScope = TrialPart | None
# Takes numbered parameters and a part of the trials (None: all of them), and yields each numbered result as
# soon as this part of its trial was measured.
Executor = Callable[[Batch, TrialScope], Iterator[tuple[int, TrialResult]]]

WORKER_TIMEOUT_S = 60
# Restarts of a trial whose Dask worker died.
MAX_RETRIES = 3


@contextmanager
def trial_executor(tuning: Tuning, job: TrialJob, folder: Path) -> Iterator[Executor]:
    """
    Provide an executor of trials as `tuning` declares.

    Parameters
    ----------
    tuning
        Declared Dask cluster or number of worker processes.
    job
        Inputs of the trials.
    folder
        Folder for temporary files.

    Raises
    ------
    ServiceUnavailable
        If the cluster does not answer, or a worker process of this machine died.
    SettingsError
        If a worker of the cluster has another code version or other requirements.
    """
    if tuning.dask is not None:
        with _connect(tuning.dask) as client:
            yield _on_dask(client, tuning.dask, job)
    elif tuning.workers > 1:
        path = folder / "job.pickle"
        path.write_bytes(job.to_bytes())
        yield _on_joblib(tuning.workers, path)
    else:
        yield lambda batch, part: ((number, run_trial(job, parameters, part)) for number, parameters in batch)


def _on_joblib(n_workers: int, path: Path) -> Executor:
    def execute(batch: Batch, part: TrialScope) -> Iterator[tuple[int, TrialResult]]:
        from joblib import Parallel, delayed
        from joblib.externals.loky.process_executor import BrokenProcessPool

        parallel = Parallel(n_jobs=n_workers, backend="loky", return_as="generator_unordered")
        try:
            yield from parallel(delayed(_run_numbered)(str(path), *trial, part) for trial in batch)
        except BrokenProcessPool as error:
            raise ServiceUnavailable(
                f"A worker process of the trials died: {error}. The results of ended trials are stored; if "
                "memory was exhausted, declare fewer `tuning.workers`."
            ) from error

    return execute


def _run_numbered(
    path: str, number: int, parameters: Mapping[str, Any], part: TrialScope
) -> tuple[int, TrialResult]:
    return number, run_trial(_load_job(path), parameters, part)


@lru_cache(maxsize=1)
def _load_job(path: str) -> TrialJob:
    job: TrialJob = cloudpickle.loads(Path(path).read_bytes())
    return job


@contextmanager
def _connect(address: str) -> Iterator[Client]:
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


def _on_dask(client: Client, address: str, job: TrialJob) -> Executor:
    # The job is the result of a task and not scattered, so that it is computed again when the worker that
    # holds it dies.
    job_future = client.submit(cloudpickle.loads, job.to_bytes(), pure=False)
    local_code = _code()

    def execute(batch: Batch, part: TrialScope) -> Iterator[tuple[int, TrialResult]]:
        from distributed import as_completed

        # Dask runs tasks where their inputs are, so every worker that has joined by now needs the job.
        client.replicate([job_future])
        futures: dict[Future[Any], int] = {
            client.submit(_run_remote, job_future, parameters, part, pure=False, retries=MAX_RETRIES): number
            for number, parameters in batch
        }
        for future in as_completed(list(futures), loop=client.loop):
            result, worker_code = _result(future)
            if worker_code != local_code:
                raise SettingsError(
                    f"A worker of {address} has {worker_code}, and this task {local_code}. Deploy the same "
                    "code and locked requirements on the cluster."
                )
            yield futures[future], result

    return execute


def _result(future: Future[Any]) -> tuple[TrialResult, str]:
    from distributed import KilledWorker
    from distributed.client import FutureCancelledError
    from distributed.comm.core import CommClosedError

    try:
        result, worker_code = future.result()
    except KilledWorker as error:
        problem = f"all workers that ran it died, which happens if it needs too much memory: {error}"
        return TrialResult((), 0.0, problem), _code()
    except (FutureCancelledError, CommClosedError, OSError) as error:
        raise ServiceUnavailable(
            f"The connection to Dask's scheduler was lost: {error}. Try again."
        ) from error
    return result, worker_code


def _run_remote(job: TrialJob, parameters: Mapping[str, Any], part: TrialScope) -> tuple[TrialResult, str]:
    return run_trial(job, parameters, part), _code()


def _code() -> str:
    from include.modeling.registry.provenance import code_version, lock_hash

    return f"code {code_version()}, requirements {lock_hash()[:12]}"
