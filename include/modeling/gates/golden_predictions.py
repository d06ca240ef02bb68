"""Gate on declared rows whose prediction is known to lie within bounds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from include.declarations import GoldenPredictions
from include.inference import scoring_protocol
from include.modeling.evaluation.context import predict_checked
from include.modeling.evaluation.evidence import Measurement
from include.modeling.gates.base import PromotionGate

if TYPE_CHECKING:
    from include.declarations import GoldenCase
    from include.modeling.evaluation.context import EvaluationContext
    from include.modeling.evaluation.evidence import Evidence, Figure
    from include.modeling.gates.base import Verdict


class GoldenPredictionsGate(PromotionGate[GoldenPredictions]):
    """The prediction of each declared case lies within the bounds of the case."""

    def measure(self, context: EvaluationContext) -> Measurement:
        """
        Return the predictions of the declared rows, sent as in a request.

        Raises
        ------
        DataError
            If a model server would refuse the rows.
        """
        records = [dict(case.row) for case in self.declared.cases]
        body = json.dumps({"dataframe_records": records}).encode()
        columns = context.model.columns
        request = scoring_protocol.parse_request(body, "application/json", columns)
        rows = scoring_protocol.frame([request], columns)
        predictions = predict_checked(self.use_case, context.model, rows)
        items = tuple(
            {"case": case.name, "answer": float(prediction)}
            for case, prediction in zip(self.declared.cases, predictions, strict=True)
        )
        return Measurement(items=items, rows=len(items))

    def judge(self, evidence: Evidence) -> Verdict:
        """Fail if a prediction lies outside the bounds of its case, bounds included."""
        figures: dict[str, Figure] = {
            str(item["case"]): float(item["answer"] or 0) for item in self.measurement(evidence).items
        }
        violations = [
            f"{case.name} is predicted as {figures[case.name]:.4g}, {_describe_bounds(case)} expected"
            for case in self.declared.cases
            if not _is_within(float(figures[case.name]), case)
        ]
        if violations:
            return self.verdict("fail", "; ".join(violations), figures)
        return self.verdict("pass", f"all {len(figures)} cases as expected", figures)


def _is_within(prediction: float, case: GoldenCase) -> bool:
    if case.minimum is not None and prediction < case.minimum:
        return False
    return case.maximum is None or prediction <= case.maximum


def _describe_bounds(case: GoldenCase) -> str:
    bounds = []
    if case.minimum is not None:
        bounds.append(f"at least {case.minimum:g}")
    if case.maximum is not None:
        bounds.append(f"at most {case.maximum:g}")
    return " and ".join(bounds)
