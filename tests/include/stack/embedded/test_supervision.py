from __future__ import annotations

from configparser import RawConfigParser
from dataclasses import asdict

import pytest

from include.credentials import load_credentials
from include.errors import ServiceUnavailable
from include.stack.embedded.programs import PROGRAMS
from include.stack.embedded.supervision import Supervisor, render


@pytest.fixture
def rendered(chosen) -> RawConfigParser:
    parser = RawConfigParser(strict=True)
    parser.read_string(render(chosen))
    return parser


def test_every_program_is_restarted_when_it_dies(rendered):
    for program in PROGRAMS:
        section = rendered[f"program:{program.name}"]
        assert section["autorestart"] == "true"
        assert section["killasgroup"] == "true"
        assert section["command"].endswith(f"-m include.stack {program.name}")


def test_socket_and_logs_are_for_the_owner_only(rendered):
    assert rendered["unix_http_server"]["chmod"] == "0700"
    assert rendered["supervisord"]["umask"] == "077"
    assert not rendered.has_section("inet_http_server")


def test_configuration_has_no_secret(chosen):
    secrets = asdict(load_credentials(chosen.root)).values()
    assert not [secret for secret in secrets if secret in render(chosen)]


def test_percent_sign_in_the_home_is_escaped(chosen):
    odd = chosen.model_copy(update={"home": chosen.home.with_name("100%")})
    assert "100%%/run/supervisor.sock" in render(odd)


def test_supervisor_that_does_not_run_is_reported(chosen):
    assert not Supervisor(chosen).running
    with pytest.raises(ServiceUnavailable, match="make up"):
        Supervisor(chosen).states()
