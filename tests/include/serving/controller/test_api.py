from __future__ import annotations

from starlette.testclient import TestClient

from include.declarations import Slo
from include.serving.controller.api import controller_app
from include.serving.controller.status import ControllerStatus


def test_metrics_have_the_promised_service_levels(home):
    status = ControllerStatus(objectives={"delay": Slo(availability=0.99, latency_p99_ms=150)})
    text = TestClient(controller_app(lambda: status)).get("/metrics").text
    assert 'airworthy_slo_availability{use_case="delay"} 0.99\n' in text
    assert 'airworthy_slo_latency_seconds{use_case="delay"} 0.15\n' in text


def test_metrics_say_that_monitoring_has_stopped(home):
    status = ControllerStatus(silences={"delay": 0.0, "band": 90_000.0})
    text = TestClient(controller_app(lambda: status)).get("/metrics").text
    assert 'airworthy_monitoring_silent_seconds{use_case="delay"} 0.0\n' in text
    assert 'airworthy_monitoring_silent_seconds{use_case="band"} 90000.0\n' in text


def test_metrics_without_models_are_empty(home):
    text = TestClient(controller_app(ControllerStatus)).get("/metrics").text
    assert "airworthy_slo_availability{" not in text
