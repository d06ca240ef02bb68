"""Smoke test of a variant that has no traffic yet: it must predict the golden rows as in the evaluation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from include.release.smoke_test import (
    DEFAULT_TOLERANCE,
    SmokeResult,
    describe_difference,
    to_prediction,
)
from include.release.targets.aws import aws_client, translate_aws_errors
from include.release.targets.endpoint import endpoint_name, variant_name
from include.release.targets.sagemaker import target_of
from include.settings import settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.declarations import UseCase


def smoke_test_variant(use_case: UseCase, version: int, golden: Mapping[str, Any]) -> SmokeResult:
    """
    Compare the predictions of a version's variant with those that the model made in evaluation.

    Parameters
    ----------
    golden
        The model's `golden.json`; see `run_smoke_test`.

    Raises
    ------
    ServiceUnavailable
        If SageMaker refuses the request, or the container does not answer.
    """
    expected = [to_prediction(value) for value in golden["predictions"]]
    if not expected:
        return SmokeResult(False, "the certificate has no golden rows to test with", {})
    client = aws_client("sagemaker-runtime", target_of(use_case).region)
    variant = variant_name(version)
    with translate_aws_errors(f"{use_case.name}: the variant {variant} does not answer"):
        response = client.invoke_endpoint(
            EndpointName=endpoint_name(settings().env, use_case.name),
            TargetVariant=variant,
            ContentType="application/json",
            Body=json.dumps({"dataframe_split": golden["dataframe_split"]}),
        )
        body = response["Body"].read().decode(errors="replace")
    try:
        predictions = [to_prediction(value) for value in json.loads(body)["predictions"]]
    except (ValueError, KeyError, TypeError):
        return SmokeResult(
            False, f"{variant} answered no list of numbers under `predictions`: {body[:300]}", {}
        )
    difference = describe_difference(predictions, expected, golden.get("tolerance", DEFAULT_TOLERANCE))
    figures: dict[str, float | int | str] = {"rows": len(expected)}
    reason = difference or f"all {len(expected)} golden rows are predicted as in evaluation"
    return SmokeResult(difference is None, reason, figures)
