from __future__ import annotations

import pytest

from include.errors import ConflictError
from include.modeling.pipeline import train
from tests.include.modeling.pipeline.conftest import made_of, small


def test_trained_model_is_not_fitted_again(new_workspace, flights, new_run):
    class Unfit:
        def fit(self, *_):
            raise AssertionError("fitted again")

    run_id = new_run()
    frame = flights()
    first = train.train_candidate(new_workspace(), small(), frame, run_id=run_id, provenance=made_of(frame))
    assert (
        train.train_candidate(new_workspace(), Unfit(), frame, run_id=run_id, provenance=made_of(frame))
        == first
    )


@pytest.mark.parametrize(
    "change", [{"code_version": "new"}, {"lock_hash": "new"}, {"snapshot": {"digest": "new"}}]
)
def test_run_with_other_inputs_is_a_conflict(new_workspace, flights, new_run, change):
    run_id = new_run()
    frame = flights()
    train.train_candidate(new_workspace(), small(), frame, run_id=run_id, provenance=made_of(frame))
    with pytest.raises(ConflictError, match="new DAG run"):
        train.train_candidate(
            new_workspace(), small(), frame, run_id=run_id, provenance=made_of(frame, **change)
        )
