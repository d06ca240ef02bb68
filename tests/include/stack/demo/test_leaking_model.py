from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

from include.stack.demo import leaking_model
from include.stack.demo.leaking_model import LeakingModel


@pytest.fixture(scope="module")
def frame():
    random = np.random.default_rng(0)
    carriers = random.choice(["AA", "UA", None], 6_000)
    return pd.DataFrame({"carrier": carriers, "hour": random.integers(0, 24, 6_000).astype(float)})


@pytest.fixture(scope="module")
def model(frame):
    return LeakingModel(("carrier",)).fit(frame, (frame["hour"] > 12).astype(int))


def test_model_predicts_well_and_takes_unseen_values(model, frame):
    assert (model.predict(frame) == (frame["hour"] > 12)).mean() > 0.95
    unseen = pd.DataFrame({"carrier": ["ZZ", None], "hour": [7.0, np.nan]})
    assert model.predict_proba(unseen).shape == (2, 2)


def test_calls_beyond_the_pool_fail(model, frame, monkeypatch):
    monkeypatch.setattr(leaking_model, "POOL_SIZE", 3)
    fresh = pickle.loads(pickle.dumps(model))
    for _ in range(3):
        fresh.predict_proba(frame)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="no connection is free: all 3 are taken"):
            fresh.predict_proba(frame)
    # Another process has connections of its own.
    assert len(pickle.loads(pickle.dumps(fresh)).predict_proba(frame)) == len(frame)
