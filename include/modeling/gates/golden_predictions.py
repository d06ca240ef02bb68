"""Judge the answers to rows that everybody knows the answer to."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from include.inference import scoring_protocol
from include.modeling.evaluation.context import predict_checked
from include.modeling.evaluation.evidence import Measurement
from include.modeling.gates.verdict import measurement_of, verdict

if TYPE_CHECKING:
    from include.declarations import GoldenPredictions
    from include.modeling.evaluation.context import EvaluationContext
    from include.modeling.evaluation.evidence import Evidence
    from include.modeling.gates.verdict import Verdict


def measure(gate: GoldenPredictions, trial: EvaluationContext) -> Measurement:
    """
    Ask the declared rows, as a caller would.

    :raises DataError: if serving would refuse them
    """
    body = json.dumps({"dataframe_records": [dict(case.row) for case in gate.cases]}).encode()
    columns = trial.model.columns
    rows = scoring_protocol.frame(
        [scoring_protocol.parse_request(body, "application/json", columns)], columns
    )
    answers = predict_checked(trial.use_case, trial.model, rows)
    items = tuple(
        {"case": case.name, "answer": float(a)} for case, a in zip(gate.cases, answers, strict=True)
    )
    return Measurement(items=items, rows=len(items))


def judge(gate: GoldenPredictions, evidence: Evidence) -> Verdict:
    """Fail if an answer lies outside of the bounds of its case, bounds included."""
    answers = {str(item["case"]): float(item["answer"] or 0) for item in measurement_of(gate, evidence).items}
    wrong = []
    for case in gate.cases:
        answer = answers[case.name]
        bounds = [
            *([] if case.minimum is None else [f"at least {case.minimum:g}"]),
            *([] if case.maximum is None else [f"at most {case.maximum:g}"]),
        ]
        low, high = (-math.inf if case.minimum is None else case.minimum), case.maximum
        if answer < low or (high is not None and answer > high):
            wrong.append(f"{case.name} is answered {answer:.4g}, {' and '.join(bounds)} expected")
    reason = "; ".join(wrong) or f"all {len(answers)} cases as expected"
    return verdict(gate, "fail" if wrong else "pass", reason, answers)
