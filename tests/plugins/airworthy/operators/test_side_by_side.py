"""Two trainings of one use case at the same time, task beside task."""

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

AS_OF = {"one": "2013-01-15", "two": "2013-01-20"}


def live(use_case, run, given, barrier, packing):
    """Take one training from snapshot to version; every task waits for the same one of the other training."""

    def task(kind, **made):
        barrier.wait(60)
        with packing if kind is TrainModelOperator else nullcontext():  # cloudpickle knows no threads
            return kind(task_id="it", use_case=use_case.name, **made).execute(given)

    made = {"snapshot": task(TakeSnapshotOperator, as_of=AS_OF[run])}
    made["candidate"] = task(TrainModelOperator, **made)
    made["evidence"] = task(EvaluateModelOperator, **made)
    task(ModelGateOperator, **made)
    return made["candidate"], task(RegisterModelOperator, **made)


def lived_side_by_side(use_case, context):
    barrier, packing = Barrier(len(AS_OF)), Lock()
    with ThreadPoolExecutor(len(AS_OF)) as pool:
        trainings = {
            run: pool.submit(live, use_case, run, context({"run_id": f"manual__{run}"}), barrier, packing)
            for run in AS_OF
        }
    return {run: training.result() for run, training in trainings.items()}


def test_two_trainings_at_once_make_two_versions_of_which_each_is_its_own(
    flown, database, registry, use_case, context
):
    name, trusted = use_case.name, settings().signing_key.parent / "trusted"
    found = lived_side_by_side(use_case, context)
    assert sorted(version for _, version in found.values()) == [1, 2]
    for run, (candidate, version) in found.items():
        certificate = versions.verify_version(registry, name, version, trusted=trusted)
        assert certificate.snapshot["as_of"] == AS_OF[run]
        assert (certificate.run_id, certificate.model_digest) == (candidate["run_id"], candidate["digest"])
    tags = {
        run.data.tags["airworthy.run"]: run.data.tags["airworthy.as_of"] for run in registry.search_runs(name)
    }
    assert tags == {f"manual__{run}": day for run, day in AS_OF.items()}
    with database.connect() as connection:
        assert sorted(entry["version"] for entry in ledger.ledger_entries(connection, name)) == [1, 2]
