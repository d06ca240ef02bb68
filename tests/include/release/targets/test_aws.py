from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from include.errors import ServiceUnavailable
from include.release.targets.aws import find, list_all, translate_aws_errors


def refusing(code, message):
    def describe(**_):
        raise ClientError({"Error": {"Code": code, "Message": message}}, "Describe")

    return describe


@pytest.mark.parametrize(
    ("code", "message"),
    [("ValidationException", 'Could not find endpoint "e".'), ("404", "Not Found"), ("NoSuchKey", "")],
)
def test_what_does_not_exist_is_none(code, message) -> None:
    assert find(refusing(code, message), EndpointName="e") is None


@pytest.mark.parametrize(
    ("code", "message"), [("ValidationException", "The name is too long"), ("AccessDenied", "not found")]
)
def test_other_answers_are_errors(code, message) -> None:
    describe = refusing(code, message)
    with (
        pytest.raises(ServiceUnavailable, match=r"the endpoint: .*Describe"),
        translate_aws_errors("the endpoint"),
    ):
        find(describe, EndpointName="e")


def test_a_list_has_all_pages(aws) -> None:
    client = aws("sagemaker")
    for number in range(3):
        client.create_model(ModelName=f"m{number}", ExecutionRoleArn="arn:aws:iam::123456789012:role/r")
    assert [entry["ModelName"] for entry in list_all(client, "list_models")] == ["m0", "m1", "m2"]
