"""Two trainings of one use case that run at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from threading import Barrier, Lock

from airworthy.operators.gate import ModelGateOperator
from airworthy.operators.registration import RegisterModelOperator
from airworthy.operators.training import EvaluateModelOperator, TakeSnapshotOperator, TrainModelOperator
from include.database import ledger
from include.modeling.registration import versions
from include.settings import settings

AS_OF = {"first": "2013-01-15", "second": "2013-01-20"}
BARRIER_TIMEOUT_S = 240


def run_training(use_case, run, context, barrier, packing):
    """Run a training from snapshot to version; each task starts together with that of the other training."""

    def execute(operator, **fields):
        barrier.wait(BARRIER_TIMEOUT_S)
        # cloudpickle is not thread-safe.
        with packing if operator is TrainModelOperator else nullcontext():
            return operator(task_id="it", use_case=use_case.name, **fields).execute(context)

    fields = {"snapshot": execute(TakeSnapshotOperator, as_of=AS_OF[run])}
    fields["candidate"] = execute(TrainModelOperator, **fields)
    fields["evidence"] = execute(EvaluateModelOperator, **fields)
    execute(ModelGateOperator, **fields)
    return fields["candidate"], execute(RegisterModelOperator, **fields)


def run_side_by_side(use_case, context):
    barrier = Barrier(len(AS_OF))
    packing = Lock()
    trainings = {}
    with ThreadPoolExecutor(len(AS_OF)) as pool:
        for run in AS_OF:
            run_context = context({"run_id": f"manual__{run}"})
            trainings[run] = pool.submit(run_training, use_case, run, run_context, barrier, packing)
    return {run: training.result() for run, training in trainings.items()}


def test_concurrent_trainings_register_a_version_each(flown, database, registry, use_case, context):
    name = use_case.name
    trusted = settings().signing_key.parent / "trusted"
    trainings = run_side_by_side(use_case, context)
    assert sorted(version for _, version in trainings.values()) == [1, 2]
    for run, (candidate, version) in trainings.items():
        certificate = versions.verify_version(registry, name, version, trusted=trusted)
        assert certificate.snapshot["as_of"] == AS_OF[run]
        assert (certificate.run_id, certificate.model_digest) == (candidate["run_id"], candidate["digest"])
    runs = registry.search_runs(name)
    tags = {run.data.tags["airworthy.run"]: run.data.tags["airworthy.as_of"] for run in runs}
    assert tags == {f"manual__{run}": day for run, day in AS_OF.items()}
    with database.connect() as connection:
        assert sorted(entry["version"] for entry in ledger.ledger_entries(connection, name)) == [1, 2]
