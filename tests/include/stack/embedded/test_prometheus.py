from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from include.errors import SettingsError
from include.stack.embedded import prometheus
from include.stack.embedded.prometheus import prometheus_command


@pytest.fixture
def program(monkeypatch):
    """Behave as if Prometheus were installed."""
    monkeypatch.setattr(prometheus.shutil, "which", lambda _: "/usr/bin/prometheus")


def configuration(command):
    [option] = [word for word in command if word.startswith("--config.file=")]
    return json.loads(Path(option.partition("=")[2]).read_text())


def test_gateway_of_the_stack_is_scraped_on_this_machine(chosen, program):
    command = prometheus_command(chosen, 9191)
    jobs = configuration(command)["scrape_configs"]
    assert [job.get("metrics_path", "/metrics") for job in jobs] == ["/metrics", "/metrics/haproxy"]
    for job in jobs:
        assert job["static_configs"] == [{"targets": [f"127.0.0.1:{chosen.gateway_port}"]}]
        assert "authorization" not in job
    assert "--web.listen-address=127.0.0.1:9191" in command
    assert any(str(chosen.root) in word for word in command if word.startswith("--storage.tsdb.path="))


def test_token_stays_in_its_file(chosen, program, tmp_path):
    token_file = tmp_path / "token"
    token_file.write_text("secret")
    command = prometheus_command(chosen, 9191, token_file)
    for job in configuration(command)["scrape_configs"]:
        assert job["authorization"] == {"credentials_file": str(token_file)}
    assert "secret" not in json.dumps(configuration(command)) + str(command)


def test_missing_file_or_program_is_named(chosen, program, tmp_path, monkeypatch):
    with pytest.raises(SettingsError, match="There is no file"):
        prometheus_command(chosen, 9191, tmp_path / "token")
    monkeypatch.setattr(prometheus.shutil, "which", lambda _: None)
    with pytest.raises(SettingsError, match="apt-get install prometheus"):
        prometheus_command(chosen, 9191)


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is missing: apt-get install prometheus")
def test_promtool_accepts_the_configuration(chosen):
    command = prometheus_command(chosen, 9191)
    file = next(word for word in command if word.startswith("--config.file=")).partition("=")[2]
    subprocess.run(["promtool", "check", "config", file], check=True, capture_output=True)
