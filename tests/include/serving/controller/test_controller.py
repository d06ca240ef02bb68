from __future__ import annotations

from types import SimpleNamespace

from include.declarations import SageMaker, Serving
from include.serving.controller import controller
from include.use_cases.flight_delay import USE_CASE

TARGET = SageMaker(
    image="image",
    role="arn:aws:iam::123456789012:role/r",
    instance_type="ml.m5.large",
    packages="s3://bucket",
)


def test_a_use_case_is_served_where_it_is_declared(monkeypatch) -> None:
    remote = USE_CASE.model_copy(update={"serving": Serving(target=TARGET)})
    declared = SimpleNamespace(use_cases={"remote": remote, "near": USE_CASE})
    monkeypatch.setattr(controller, "catalog", lambda: declared)
    names = ("remote", "near", "undeclared")
    assert [controller.is_local(name) for name in names] == [False, True, True]


def test_a_package_is_verified_before_it_is_copied(home, make_model) -> None:
    folder = make_model("delay", 1)
    assert controller.fetch_package("delay", 1) == folder
