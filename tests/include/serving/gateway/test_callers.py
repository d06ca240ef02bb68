from __future__ import annotations

import ssl
import subprocess
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from include.errors import DataError
from include.serving.gateway import callers, haproxy
from include.serving.gateway.config import Route
from include.settings import settings
from tests.include.serving.conftest import wait_for
from tests.small_models import home_at

# A known model without a champion: what is allowed to call it gets 503.
ALLOWED = 503
PREDICT = "/models/delay/invocations"


@pytest.fixture
def start(tmp_path):
    """Return a way to start a HAProxy of its own home and settings, with the model `delay`."""
    processes = []

    def start_gateway(**variables):
        home = tmp_path / f"home{len(processes)}"
        context = home_at(home, **variables)
        context.__enter__()
        gateway = haproxy.Gateway()
        gateway.prepare()
        with (tmp_path / "haproxy.log").open("a") as log:
            process = subprocess.Popen(haproxy.command(), stdout=log, stderr=log)
        processes.append((process, context))
        wait_for(lambda: set_routes(gateway), 30, (tmp_path / "haproxy.log").read_text)
        return gateway

    yield start_gateway
    for process, context in processes:
        process.terminate()
        process.wait(20)
        context.__exit__(None, None, None)


def set_routes(gateway):
    try:
        gateway.set_routes({"delay": Route(), "time": Route()})
    except haproxy.ServiceUnavailable:
        return False
    return True


def call(path=PREDICT, token="", method="POST"):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.request(method, f"http://127.0.0.1:{settings().gateway_port}{path}", headers=headers)


def issue(database, *scopes, rate=0, caller="site"):
    with database.begin() as connection:
        return callers.issue_token(connection, caller, scopes, rate=rate, actor="ann")


def publish(database, gateway):
    with database.connect() as connection:
        gateway.set_grants(callers.grant_entries(callers.list_tokens(connection)))


def test_callers_need_a_valid_token_where_required(start, database):
    gateway = start(AIRWORTHY_ENV="prod")
    token = issue(database, "delay")
    publish(database, gateway)
    refused = call()
    assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert "Send your token" in refused.json()["message"]
    assert refused.json()["request_id"] == refused.headers["X-Request-Id"]
    assert call(token="airworthy_wrong").status_code == 401
    assert call(token=callers.token_digest(token)).status_code == 401
    assert call(token=token).status_code == ALLOWED


def test_token_counts_for_its_scopes_alone(start, database):
    gateway = start(AIRWORTHY_ENV="uat")
    narrow = issue(database, "delay")
    every = issue(database, callers.ALL_MODELS)
    reader = issue(database, callers.METRICS, callers.HISTORY)
    publish(database, gateway)
    denied = call("/models/time/invocations", narrow)
    assert denied.status_code == 403
    assert denied.json()["message"] == "The token of site has no scope time."
    assert call("/models/time/explanations", every).status_code == ALLOWED
    assert call(token=reader).status_code == 403
    for path in ("/metrics", "/models/delay/history"):
        assert call(path, every, "GET").status_code == 403
        assert call(path, method="GET").status_code == 401
        # No controller runs here.
        assert call(path, reader, "GET").status_code == ALLOWED


def test_figures_of_haproxy_need_the_scope_of_metrics(start, database):
    gateway = start(AIRWORTHY_ENV="uat")
    narrow = issue(database, "haproxy")
    reader = issue(database, callers.METRICS)
    publish(database, gateway)
    assert call("/metrics/haproxy", narrow, "GET").status_code == 403
    assert call("/metrics/haproxy", method="GET").status_code == 401
    assert call("/metrics/haproxy", reader).status_code == 405
    figures = call("/metrics/haproxy", reader, "GET")
    assert figures.status_code == 200
    assert "haproxy_frontend_http_requests_total" in figures.text
    assert call("/metrics/other", reader, "GET").status_code == 404


def test_token_is_optional_in_dev_but_not_a_wrong_one(start, database):
    start(AIRWORTHY_ENV="dev")
    assert call().status_code == ALLOWED
    assert call(token="airworthy_wrong").status_code == 401


def test_health_needs_no_token(start):
    start(AIRWORTHY_ENV="prod")
    assert call("/healthz", method="GET").status_code == ALLOWED


def test_token_is_rotated_without_a_restart(start, database):
    gateway = start(AIRWORTHY_ENV="prod")
    old = issue(database, "delay")
    publish(database, gateway)
    new = issue(database, "delay")
    publish(database, gateway)
    assert [call(token=token).status_code for token in (old, new)] == [ALLOWED, ALLOWED]
    with database.begin() as connection:
        assert callers.revoke_tokens(connection, callers.token_digest(old)[:12], actor="ann") == 1
    publish(database, gateway)
    assert [call(token=token).status_code for token in (old, new)] == [401, ALLOWED]
    assert old not in gateway.callers_map.read_text()


def test_caller_above_its_rate_gets_429(start, database):
    gateway = start(AIRWORTHY_ENV="prod")
    slow = issue(database, "delay", rate=3, caller="slow")
    fast = issue(database, "delay", caller="fast")
    publish(database, gateway)
    responses = [call(token=slow) for _ in range(12)]
    limited = [response for response in responses if response.status_code == 429]
    assert limited
    assert limited[0].headers["Retry-After"] == "1"
    assert limited[0].json()["message"] == "slow may send 3 requests per second."
    assert {call(token=fast).status_code for _ in range(12)} == {ALLOWED}


def test_gateway_with_a_certificate_speaks_tls(start, tmp_path):
    file = certificate_file(tmp_path)
    start(AIRWORTHY_GATEWAY_CERTIFICATE=str(file))
    url = f"https://localhost:{settings().gateway_port}{PREDICT}"
    assert settings().gateway_uri.startswith("https://")
    with httpx.Client(verify=ssl.create_default_context(cafile=file)) as client:
        assert client.post(url).status_code == ALLOWED


def certificate_file(folder):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    file = folder / "gateway.pem"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)
    return file


def test_revoked_tokens_stay_listed_and_grant_nothing(database):
    token = issue(database, "delay", "time")
    issue(database, "delay")
    with database.begin() as connection:
        assert callers.revoke_tokens(connection, "site", actor="ann") == 2
        listed = callers.list_tokens(connection)
        with pytest.raises(DataError, match="no valid token 'site'"):
            callers.revoke_tokens(connection, "site", actor="ann")
    assert [(entry.scopes, entry.revoked_by) for entry in listed] == [
        (("delay", "time"), "ann"),
        (("delay",), "ann"),
    ]
    assert token not in str(listed)
    assert callers.grant_entries(listed) == {}


@pytest.mark.parametrize("caller", ["", "Site", "a|b", "a b", "../x"])
def test_name_of_a_caller_is_checked(database, caller):
    with pytest.raises(DataError, match="is no name of a caller"):
        issue(database, "delay", caller=caller)


def test_token_needs_a_scope(database):
    with pytest.raises(DataError, match="has no scope"):
        issue(database)
