"""Outcome of a rollout step: promote, roll back, or inconclusive, from the evidence of all metrics."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from include.release.analysis.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.declarations import Rollout
    from include.release.analysis.metrics import LogEvidence, Metric
    from include.release.analysis.observations import Observation, RolloutStage

AnalysisOutcome = Literal["promote", "roll_back", "inconclusive"]

# Of the requests that a step can expect in its bake time, so many are required.
REQUIRED_SHARE = 0.8
# A metric with this evidence (e-value) does not pass: the step waits for more requests.
SUSPICION = 5.0
# Shadow and canary steps.
N_STAGES = 2
MINUTE_S = 60.0
# A collector that runs is behind by less than a second.
MAX_BEHIND_S = 10.0


@dataclass(frozen=True, slots=True)
class Analysis:
    """Outcome of an analysis, the reason in one sentence, and the figures behind it."""

    outcome: AnalysisOutcome
    reason: str
    figures: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Finding:
    """A metric's evidence: `worse` is an alarm, `suspicious` less than that."""

    name: str
    advisory: bool
    worse: bool
    suspicious: bool
    p_value: float
    words: str


def analyse(observation: Observation, rollout: Rollout, *, stage: RolloutStage) -> Analysis:
    """
    Return `promote`, `roll_back`, or `inconclusive` if it is not possible to decide yet.

    The analysis may be repeated as often as wanted: all metrics and steps together roll back a challenger
    that is not worse with a probability of at most `rollout.false_alarm_rate` (Ville's inequality, and a sum
    over metrics). `p_value` in the figures is the anytime-valid one of the metric alone.
    """
    findings = _find(observation, rollout)
    figures = _collect_figures(observation, findings, stage)
    figures["required"] = required_requests(observation.rate, rollout)
    problems = [finding.words for finding in findings if finding.worse and not finding.advisory]
    if observation.shape_mismatches:
        problems.append(
            f"{observation.shape_mismatches} responses have another number of predictions or classes "
            "than the champion's"
        )
    if problems:
        return Analysis("roll_back", "; ".join(problems), figures)
    missing = _find_missing_data(observation, rollout, stage)
    if missing:
        return Analysis("inconclusive", missing, figures)
    doubts = [finding.words for finding in findings if finding.suspicious and not finding.advisory]
    if doubts:
        return Analysis("inconclusive", f"too few requests to decide: {'; '.join(doubts)}", figures)
    remarks = [f"; {finding.words}" for finding in findings if finding.worse]
    requests = observation.challenger.counts.requests
    return Analysis("promote", f"{requests} requests, no evidence of a difference{''.join(remarks)}", figures)


def required_requests(rate: float, rollout: Rollout) -> int:
    """
    Return how many requests of the challenger a step needs.

    Parameters
    ----------
    rate
        Requests per second that the challenger can expect in the step.
    rollout
        Bake time, fewest and minimum requests.
    """
    expected = math.floor(REQUIRED_SHARE * rate * rollout.bake.total_seconds())
    return min(rollout.minimum_requests, max(rollout.fewest_requests, expected))


def _find(observation: Observation, rollout: Rollout) -> list[Finding]:
    findings = []
    for metric in METRICS:
        evidence = metric.measure(observation, rollout)
        if evidence is not None:
            findings.append(_judge(metric, evidence, rollout))
    return findings


def _judge(metric: Metric, evidence: LogEvidence, rollout: Rollout) -> Finding:
    """Mix the evidence of the steps and stages with fixed weights, and compare it with the limit."""
    total = _mix(evidence, n_steps=len(rollout.steps) + 1)
    limit = -math.log(rollout.false_alarm_rate * metric.share)
    strongest = max(evidence.step, evidence.stage)
    worse = total >= limit
    return Finding(
        metric.name,
        metric.name in rollout.advisory,
        worse,
        not worse and strongest >= math.log(SUSPICION),
        min(1.0, math.exp(-max(total, 0.0))),
        evidence.words,
    )


def _mix(evidence: LogEvidence, *, n_steps: int) -> float:
    """Return the logarithm of the weighted mean; without evidence of stages the steps have all the weight."""
    if evidence.stage == -math.inf:
        return evidence.step - math.log(n_steps)
    step = evidence.step - math.log(2 * n_steps)
    stage = evidence.stage - math.log(2 * N_STAGES)
    larger = max(step, stage)
    return larger + math.log(math.exp(step - larger) + math.exp(stage - larger))


def _collect_figures(
    observation: Observation, findings: list[Finding], stage: RolloutStage
) -> dict[str, Any]:
    shifts = observation.shifts
    return {
        "stage": stage,
        "champion": asdict(observation.champion.counts) if observation.champion else None,
        "challenger": asdict(observation.challenger.counts),
        "pairs": len(shifts),
        "shape_mismatches": observation.shape_mismatches,
        "prediction_shift": sum(shifts) / len(shifts) if shifts else None,
        "metrics": [asdict(finding) for finding in findings],
    }


def describe_findings(figures: Mapping[str, Any]) -> str:
    """Return what each metric of an analysis found, as one text for a log."""
    return "; ".join(metric["words"] for metric in figures["metrics"]) or "no metric could be measured yet"


def _find_missing_data(observation: Observation, rollout: Rollout, stage: RolloutStage) -> str | None:
    unseen = _find_unlogged_time(observation, rollout)
    if unseen:
        return unseen
    new = observation.challenger
    required = required_requests(observation.rate, rollout)
    if new.counts.requests < required:
        remaining = required - new.counts.requests
        return (
            f"{new.counts.requests} of the {required} requests that the analysis needs, "
            f"{_describe_wait(remaining, observation.rate)}"
        )
    if observation.champion is None:
        return None
    fewest = min(required, rollout.fewest_requests)
    old = observation.champion
    if old.counts.requests < fewest:
        return (
            f"the champion answered {old.counts.requests} requests, {fewest} are needed to compare, "
            f"{_describe_wait(fewest - old.counts.requests, observation.rate)}"
        )
    if old.counts.answered >= fewest and min(old.latencies.sum(), new.latencies.sum()) < 1:
        return "there are no latencies to compare"
    return _find_missing_predictions(observation, fewest, stage) if observation.sees_predictions else None


def _find_missing_predictions(observation: Observation, fewest: int, stage: RolloutStage) -> str | None:
    new = observation.challenger
    if new.recorded < REQUIRED_SHARE * new.counts.answered:
        return (
            f"the inference log has {new.recorded} of the challenger's {new.counts.answered} answers, "
            "so that its predictions cannot be judged"
        )
    pairs = len(observation.shifts)
    if stage == "shadow" and pairs < fewest:
        return f"{pairs} requests were answered by both versions, {fewest} are needed to compare"
    return None


def _find_unlogged_time(observation: Observation, rollout: Rollout) -> str | None:
    """Say if the access log does not reach far enough: what it does not have yet could be failures."""
    if observation.behind_s == math.inf:
        return "there is no access log to judge by: its collector (process access-log) never ran"
    if observation.behind_s > MAX_BEHIND_S:
        return (
            f"the access log ends {observation.behind_s:.0f} s ago, which is never a pass: does its "
            "collector (process access-log) run?"
        )
    bake_s = rollout.bake.total_seconds()
    if observation.logged_s < bake_s:
        return f"the access log has {max(0.0, observation.logged_s):.1f} of {bake_s:g} s of the step"
    return None


def _describe_wait(requests: int, rate: float) -> str:
    if rate <= 0:
        return "and there is no traffic now"
    minutes = requests / rate / MINUTE_S
    return f"about {max(1, math.ceil(minutes))} more minutes" if minutes > 1 else "less than a minute more"
