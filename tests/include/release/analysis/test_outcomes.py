"""Outcomes of a rollout step: which evidence rolls back, which asks for more, and which passes."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.declarations import Rollout
from include.release.analysis import Losses, Observation, RequestCounts, analyse
from include.release.analysis.metrics import allowed_edges
from include.release.analysis.observations import LATENCY_EDGES, N_SIZES, Responses, Strata
from include.release.analysis.outcomes import describe_findings, required_requests

ROLLOUT = Rollout(minimum_requests=100, maximum_latency_ratio=1.5, maximum_prediction_shift=0.1)
RNG = np.random.default_rng(0)
SCORES = tuple(RNG.beta(2, 5, 1_000).tolist())


def latencies(milliseconds, requests, size=0):
    counts = np.zeros((N_SIZES, len(LATENCY_EDGES) + 1))
    values = milliseconds * np.exp(np.random.default_rng(1).normal(0, 0.4, requests))
    np.add.at(counts, (size, np.searchsorted(LATENCY_EDGES, values)), 1)
    return counts


def responses(requests=1_000, errors=0, refused=0, milliseconds=40.0, **changes):
    answered = requests - errors - refused
    counts = RequestCounts(requests, errors, refused, p50=milliseconds, p99=2.5 * milliseconds)
    scores = SCORES[:answered]
    values = {"latencies": latencies(milliseconds, answered), "predictions": scores, "recorded": answered}
    values |= {"repeats": 0, "repeat_trials": answered // 2}
    return Responses(counts, **values | changes)


GOOD = Observation(responses(), responses(), shifts=(0.02,) * 1_000, thresholds=(0.1, 0.3, 0.5), rate=10.0)


def challenger(**changes):
    return replace(GOOD, challenger=responses(**changes))


def verdict(observation, stage="canary", rollout=ROLLOUT):
    return analyse(observation, rollout, stage=stage)


@pytest.mark.parametrize("stage", ["shadow", "canary"])
def test_challenger_as_good_as_the_champion_is_promoted(stage):
    assert verdict(GOOD, stage).outcome == "promote"


@pytest.mark.parametrize(
    ("observation", "stage", "reason"),
    [
        (challenger(requests=99), "canary", "99 of the 100 requests"),
        (challenger(requests=0), "canary", "0 of the 100 requests"),
        (replace(GOOD, champion=responses(0)), "canary", "the champion answered 0 requests, 20 are"),
        (replace(GOOD, shifts=()), "shadow", "0 requests were answered by both"),
        (Observation(None, Responses()), "canary", "0 of the 20 requests that the analysis needs, and there"),
        (challenger(latencies=0 * latencies(1, 1)), "canary", "no latencies"),
        (challenger(recorded=700), "canary", "the inference log has 700 of the challenger's 1000 answers"),
        (replace(GOOD, logged_s=-math.inf, behind_s=math.inf), "canary", "there is no access log to"),
        (replace(GOOD, behind_s=90.0), "canary", "the access log ends 90 s ago, which is never a pass"),
        (replace(GOOD, logged_s=590.0), "canary", "the access log has 590.0 of 600 s of the step"),
    ],
    ids=["too few", "no canary", "no champion traffic", "no pairs", "first model unseen", "no latencies",
         "not logged", "no collector", "collector down", "log behind"],
)  # fmt: skip
def test_too_little_data_is_inconclusive(observation, stage, reason):
    analysis = verdict(observation, stage)
    assert analysis.outcome == "inconclusive"
    assert reason in analysis.reason


@pytest.mark.parametrize(
    ("observation", "reason"),
    [
        (challenger(errors=60), "60 of 1000 requests failed, 0 of 1000 at the champion"),
        (challenger(requests=5, errors=5), "5 of 5 requests failed"),
        (challenger(refused=60), "60 of 1000 requests were refused"),
        (challenger(milliseconds=80.0), "latency p50 is 80.0 ms, 60.0 ms are allowed"),
        (replace(GOOD, shifts=(0.2,) * 100), "predictions for the same 100 requests differ by 20.0%"),
        (replace(GOOD, shape_mismatches=1), "another number of predictions"),
        (challenger(repeats=100, repeat_trials=100), "the same prediction 100 of 100 times"),
        (Observation(None, responses(errors=60)), "60 of 1000 requests failed, 1.00% are allowed"),
    ],
    ids=["errors", "all", "refused", "latency", "shift", "shape", "constant", "first model"],
)
def test_worse_challenger_is_rolled_back_with_the_reason(observation, reason):
    analysis = verdict(observation)
    assert analysis.outcome == "roll_back"
    assert reason in analysis.reason


@pytest.mark.parametrize(
    "observation",
    [
        challenger(errors=10),
        replace(challenger(errors=22), champion=responses(errors=20)),
        replace(challenger(refused=50), champion=responses(refused=50)),
        challenger(milliseconds=50.0),
        replace(challenger(milliseconds=8.0), champion=responses(milliseconds=1.0)),
        replace(GOOD, shifts=(0.1,) * 1_000),
        replace(
            challenger(repeats=90, repeat_trials=100), champion=responses(repeats=89, repeat_trials=100)
        ),
        replace(challenger(repeats=50, repeat_trials=50), champion=responses(repeats=50, repeat_trials=50)),
        Observation(None, responses()),
    ],
    ids=["errors allowed", "bad champion", "callers' mistakes", "latency allowed", "under the floor",
         "shift allowed", "few values", "constant champion", "first model"],
)  # fmt: skip
def test_challenger_within_the_limits_is_promoted(observation):
    assert verdict(observation).outcome == "promote"


def test_four_of_21_refused_by_a_noisy_champion_is_no_fault():
    observation = replace(challenger(requests=21, refused=4), champion=responses(60, refused=6))
    few = ROLLOUT.model_copy(update={"minimum_requests": 20})
    assert verdict(observation, rollout=few).outcome == "promote"


def test_suspicious_challenger_waits_for_more_requests():
    few = ROLLOUT.model_copy(update={"minimum_requests": 20})
    analysis = verdict(challenger(requests=25, errors=3), rollout=few)
    assert analysis.outcome == "inconclusive"
    assert "too few requests to decide: 3 of 25 requests failed" in analysis.reason


def test_strata_find_what_the_step_alone_does_not():
    observation = replace(challenger(requests=400, errors=16), champion=responses(errors=20))
    assert verdict(observation).outcome != "roll_back"
    champion = np.array([[100.0] * 60, [2.0] * 60, [0.0] * 60])
    new = np.array([[100.0] * 60, [5.0] * 60, [0.0] * 60])
    analysis = verdict(replace(observation, strata=Strata(champion, new)))
    assert analysis.outcome == "roll_back"
    equal = verdict(replace(observation, strata=Strata(champion, champion)))
    assert equal.outcome != "roll_back"


def test_larger_requests_are_compared_with_larger_ones():
    both = latencies(40.0, 500) + latencies(400.0, 500, size=3)
    observation = replace(GOOD, champion=replace(GOOD.champion, latencies=both))
    slow = latencies(40.0, 10) + latencies(400.0, 990, size=3)
    passed = replace(observation, challenger=replace(GOOD.challenger, latencies=slow))
    assert verdict(passed).outcome == "promote"


def test_advisory_metric_is_a_remark_only():
    shifted = tuple(min(1.0, score + 0.4) for score in SCORES)
    observation = challenger(predictions=shifted)
    analysis = verdict(observation)
    assert analysis.outcome == "promote"
    assert "the distributions of 1000 and 1000 predictions differ" in analysis.reason
    critical = ROLLOUT.model_copy(update={"advisory": ()})
    assert verdict(observation, rollout=critical).outcome == "roll_back"
    tolerant = ROLLOUT.model_copy(update={"advisory": ("failures",)})
    assert verdict(challenger(errors=60), rollout=tolerant).outcome == "promote"


def test_challenger_with_a_larger_loss_is_rolled_back():
    random = np.random.default_rng(3)
    old = random.uniform(0, 0.3, 400)
    worse = Losses(tuple(old), tuple(np.clip(old + random.normal(0.1, 0.05, 400), 0, 1)))
    analysis = verdict(replace(GOOD, losses=worse))
    assert analysis.outcome == "roll_back"
    assert "the loss on 400 labels is 0.2" in analysis.reason
    equal = Losses(tuple(old), tuple(random.permutation(old)))
    assert verdict(replace(GOOD, losses=equal)).outcome == "promote"
    tolerant = ROLLOUT.model_copy(update={"advisory": ("quality",)})
    assert verdict(replace(GOOD, losses=worse), rollout=tolerant).outcome == "promote"


def test_failing_challenger_is_rolled_back_without_a_collector():
    assert verdict(replace(challenger(errors=60), behind_s=90.0)).outcome == "roll_back"


def test_reason_names_every_problem():
    worse = challenger(errors=500, milliseconds=900.0)
    assert verdict(replace(worse, shifts=(0.5,) * 99)).reason.count("; ") >= 3


def test_figures_are_described_without_a_dictionary():
    words = describe_findings(verdict(GOOD).figures)
    assert "latency p99 is" in words
    assert "{" not in words
    assert describe_findings({"metrics": []}) == "no metric could be measured yet"


def test_figures_are_json_with_a_p_value_of_each_metric():
    figures = verdict(GOOD).figures
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures
    assert len(figures["metrics"]) == 7
    assert all(0 < metric["p_value"] <= 1 for metric in figures["metrics"])


def test_wait_says_how_many_requests_and_how_long():
    slow = replace(challenger(requests=13), rate=0.03)
    assert verdict(slow).reason == "13 of the 20 requests that the analysis needs, about 4 more minutes"


@pytest.mark.parametrize(
    ("rate", "required"),
    [(0.0, 20), (0.01, 20), (0.1, 48), (100.0, 100)],
    ids=["none", "low", "some", "high"],
)
def test_required_requests_fit_the_traffic(rate, required):
    assert required_requests(rate, ROLLOUT) == required


def test_fewer_requests_may_be_declared():
    assert required_requests(100.0, Rollout(minimum_requests=1)) == 1


@settings(deadline=None)
@given(
    requests=st.integers(1, 500), more=st.integers(0, 500), errors=st.integers(0, 500), old=st.integers(0, 50)
)
def test_more_errors_never_turn_a_rollback_into_a_promotion(requests, more, errors, old):
    observation = replace(GOOD, champion=responses(errors=old))
    first = responses(requests, errors=min(errors, requests))
    worse = responses(requests, errors=min(errors + more, requests))
    if verdict(replace(observation, challenger=first)).outcome == "roll_back":
        assert verdict(replace(observation, challenger=worse)).outcome == "roll_back"


def test_allowed_edge_is_ratio_or_floor():
    allowed = allowed_edges(1.5)
    edge = np.searchsorted(LATENCY_EDGES, 1.0)
    assert LATENCY_EDGES[allowed[edge]] == pytest.approx(LATENCY_EDGES[edge] + 10, rel=0.05)
    edge = np.searchsorted(LATENCY_EDGES, 1_000.0)
    assert LATENCY_EDGES[allowed[edge]] == pytest.approx(1.5 * LATENCY_EDGES[edge], rel=0.05)
    assert allowed[-1] == len(LATENCY_EDGES)
