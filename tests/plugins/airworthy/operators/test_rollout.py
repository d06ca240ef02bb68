"""Begin, stage, shift, judge, promote, restore, roll back; the controller is a function that reports."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred

from airworthy.links import ModelsLink
from airworthy.operators import promotion as promoting
from airworthy.operators import staging, traffic
from airworthy.operators.promotion import PromoteModelOperator
from airworthy.operators.rollout import BeginRolloutOperator, RestoreChampionOperator, RollBackOperator
from airworthy.operators.staging import StageModelOperator
from airworthy.operators.traffic import ALONE, ShiftTrafficOperator
from include.errors import CertificateInvalid, ReleaseError, RolloutFailed, ServiceUnavailable, StaleEpoch
from include.modeling import versions
from include.modeling.certificate import generate_keys
from include.modeling.registry import DIGEST
from include.release import ledger, progress, rollout
from include.stack.settings import settings

LIVE = {"live": True, "reason": "", "address": "127.0.0.1:9"}
NOT_LIVE = {"live": False, "reason": "the server of version 2 died", "address": None}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    for module in (promoting, staging, traffic):
        monkeypatch.setattr(module, "AT_ONCE", 0.1)


def begin(use_case, run):
    return BeginRolloutOperator(task_id="begin", use_case=use_case.name).execute(run)


def shift(use_case, hold, **share):
    return ShiftTrafficOperator(task_id="canary", use_case=use_case.name, hold=hold, **share)


def promotion(use_case, hold):
    return PromoteModelOperator(task_id="promote", use_case=use_case.name, hold=hold)


def restore(use_case, hold, run):
    return RestoreChampionOperator(task_id="restore", use_case=use_case.name, hold=hold).execute(run)


def deferred(operator, run):
    with pytest.raises(TaskDeferred) as found:
        operator.execute(run)
    return found.value


def state(database, use_case):
    with database.connect() as connection:
        return rollout.read(connection, use_case.name)


def told(database, use_case):
    """Return the events of the ledger after the registrations, oldest first."""
    with database.connect() as connection:
        events = [entry["event"] for entry in reversed(ledger.entries(connection, use_case.name))]
    return [event for event in events if event != "registered"]


@pytest.fixture
def certified(certified, database, registry):
    """Return the use case whose versions the ledger knows."""
    with database.begin() as connection:
        for version in (1, 2):
            about = {"digest": registry.tags_of(certified.name, version)[DIGEST]}
            entry = ledger.Entry(certified.name, "registered", "ann", "passed", version, about)
            ledger.append(connection, entry)
    return certified


@pytest.fixture
def second(context):
    """Return the context of a run that deploys version 2."""
    return context({"triggering_user_name": "ann"}, params={"version": 2})


@pytest.fixture
def hold(champion, second):
    return begin(champion, second)


def test_begin_takes_the_use_case_and_may_be_tried_again(champion, database, second):
    first, again = begin(champion, second), begin(champion, second)
    assert (first["version"], first["actor"]) == (2, "ann")
    assert again["epoch"] == first["epoch"] + 1
    assert json.loads(json.dumps(first)) == first
    assert told(database, champion) == ["staged", "promoted", "staged"]


def test_the_champion_is_not_rolled_out_again(champion, context):
    with pytest.raises(AirflowSkipException, match="version 1 is the champion already"):
        begin(champion, context(params={"version": 1}))


def test_another_runs_rollout_is_not_interrupted(champion, hold, context):
    other = context({"run_id": "manual__other"}, params={"version": 2})
    with pytest.raises(ReleaseError, match="some_dag/manual__2013-07-01"):
        begin(champion, other)


@pytest.fixture
def distrust(tmp_path, monkeypatch):
    """Return a way to believe other keys than those that certified the versions."""

    def change():
        generate_keys(tmp_path / "keys")
        monkeypatch.setenv("AIRWORTHY_HOME", str(tmp_path))
        settings.cache_clear()

    return change


def test_a_version_that_nobody_trusted_certified_is_not_begun(champion, database, second, distrust):
    distrust()
    with pytest.raises(CertificateInvalid, match="unknown"):
        begin(champion, second)
    assert state(database, champion).challenger is None


def test_a_certificate_that_is_no_longer_believed_is_not_promoted(champion, database, hold, second, distrust):
    deferred(shift(champion, hold, percent=100), second)
    distrust()
    with pytest.raises(CertificateInvalid, match="unknown"):
        promotion(champion, hold).execute(second)
    assert state(database, champion).champion == 1


def test_a_version_that_does_not_exist_is_not_begun(champion, context):
    with pytest.raises(ReleaseError, match="version 99"):
        begin(champion, context(params={"version": 99}))


def test_a_shift_moves_the_traffic_and_waits_in_the_triggerer(champion, database, hold, second):
    waiting = deferred(shift(champion, hold, percent=25), second)
    assert (state(database, champion).weight, state(database, champion).shadow_share) == (2_500, 0)
    assert waiting.method_name == "judge"
    assert waiting.kwargs == {"since": waiting.trigger.since}
    assert (waiting.trigger.version, waiting.trigger.stage) == (2, "canary")
    assert (waiting.trigger.bake, waiting.trigger.patience) == (0, 60)
    assert told(database, champion)[-1] == "shifted"


def test_a_shadow_gets_copies_and_no_traffic(champion, database, hold, second):
    waiting = deferred(shift(champion, hold, shadow_share=1.0), second)
    assert (state(database, champion).weight, state(database, champion).shadow_share) == (0, 1.0)
    assert waiting.trigger.stage == "shadow"
    assert told(database, champion)[-1] == "shadowed"


def test_a_shift_tried_again_changes_nothing(champion, database, hold, second):
    for _ in range(2):
        deferred(shift(champion, hold, percent=25), second)
    assert told(database, champion).count("shifted") == 1


def test_a_first_model_has_nobody_to_share_traffic_with(certified, database, context):
    run = context(params={"version": 1})
    assert shift(certified, begin(certified, run), percent=25).execute(run) == ALONE
    assert state(database, certified).weight == 0


def test_an_older_attempt_may_not_shift(champion, hold, second):
    begin(champion, second)
    with pytest.raises(StaleEpoch):
        shift(champion, hold, percent=25).execute(second)


def judge(champion, hold, run, since, event=LIVE):
    return shift(champion, hold, percent=25).judge(run, dict(event), since=since)


def test_a_step_that_can_be_judged_at_once_is_not_deferred(
    champion, hold, second, follow, serve, monkeypatch
):
    monkeypatch.setattr(traffic, "AT_ONCE", 30.0)
    moving = rollout.shift

    def shift_and_serve(*args, **kwargs):
        state = moving(*args, **kwargs)
        follow(champion.name, v2="127.0.0.1:9002")
        serve(champion.name, 1, "champion")
        serve(champion.name, 2, "challenger")
        return state

    monkeypatch.setattr(rollout, "shift", shift_and_serve)
    figures = shift(champion, hold, percent=25).execute(second)
    assert figures["challenger"]["requests"] == 30


def test_a_challenger_that_fails_at_once_goes_back_at_once(
    champion, hold, second, follow, serve, monkeypatch
):
    monkeypatch.setattr(traffic, "AT_ONCE", 30.0)
    moving = rollout.shift

    def shift_and_fail(*args, **kwargs):
        state = moving(*args, **kwargs)
        follow(champion.name, v2="127.0.0.1:9002")
        serve(champion.name, 1, "champion")
        serve(champion.name, 2, "challenger", status=500)
        return state

    monkeypatch.setattr(rollout, "shift", shift_and_fail)
    with pytest.raises(RolloutFailed, match="roll_back: 30 of 30 requests failed"):
        shift(champion, hold, percent=25).execute(second)


@pytest.fixture
def since(database):
    return progress.now(database).isoformat()


def test_a_challenger_that_is_as_good_goes_on(champion, hold, second, since, serve):
    serve(champion.name, 1, "champion")
    serve(champion.name, 2, "challenger")
    figures = judge(champion, hold, second, since)
    assert figures["challenger"]["requests"] == 30
    assert json.loads(json.dumps(figures)) == figures


def test_a_challenger_that_fails_goes_back(champion, hold, second, since, serve):
    serve(champion.name, 1, "champion")
    serve(champion.name, 2, "challenger", status=500)
    with pytest.raises(RolloutFailed, match="at canary: roll_back: 30 of 30 requests failed"):
        judge(champion, hold, second, since)


def test_a_challenger_that_nobody_asked_is_no_success(champion, hold, second, since, serve):
    serve(champion.name, 1, "champion")
    with pytest.raises(RolloutFailed, match="inconclusive: 0 of the 20 requests"):
        judge(champion, hold, second, since)


def test_what_the_controller_did_not_bring_live_is_no_success(champion, hold, second, since, serve):
    serve(champion.name, 1, "champion")
    serve(champion.name, 2, "challenger")
    with pytest.raises(RolloutFailed, match="the server of version 2 died"):
        judge(champion, hold, second, since, NOT_LIVE)


def test_a_challenger_with_all_of_the_traffic_is_promoted(champion, database, registry, hold, second):
    deferred(shift(champion, hold, percent=100), second)
    waiting = deferred(promotion(champion, hold), second)
    assert waiting.method_name == "promoted"
    assert (waiting.trigger.stage, waiting.trigger.bake) == (None, 0)
    now = state(database, champion)
    assert (now.champion, now.previous, now.challenger) == (2, 1, None)
    aliases = registry._client.get_registered_model(champion.name).aliases
    assert {name: int(version) for name, version in aliases.items()} == {"champion": 2, "previous": 1}
    with database.connect() as connection:
        (entry, *_) = ledger.entries(connection, champion.name)
    certificate = versions.verify(registry, champion.name, 2, trusted=settings().trusted_keys)
    assert entry["evidence"]["certificate"] == certificate.model_digest


def test_a_promotion_tried_again_is_recorded_once(champion, database, hold, second):
    deferred(shift(champion, hold, percent=100), second)
    for _ in range(2):
        deferred(promotion(champion, hold), second)
    assert told(database, champion)[-1] == "promoted"
    assert told(database, champion).count("promoted") == 2  # the first champion's, and this one


def test_a_challenger_with_a_quarter_of_the_traffic_is_not_promoted(champion, database, hold, second):
    deferred(shift(champion, hold, percent=25), second)
    with pytest.raises(ReleaseError, match="25 % of the traffic"):
        promotion(champion, hold).execute(second)
    assert state(database, champion).champion == 1


def test_a_version_that_is_not_the_model_of_its_registration_is_neither_begun_nor_promoted(
    champion, database, hold, second, monkeypatch
):
    deferred(shift(champion, hold, percent=100), second)
    ours = versions.verify

    def exchanged(registry, use_case, version, **where):
        return ours(registry, use_case, 1, **where).model_copy(update={"model_digest": "0" * 64})

    monkeypatch.setattr(versions, "verify", exchanged)
    for step in (lambda: begin(champion, second), lambda: promotion(champion, hold).execute(second)):
        with pytest.raises(ReleaseError, match=r"version 2 was registered as the model .* the model 0000"):
            step()
    assert state(database, champion).champion == 1


def test_a_promotion_is_done_when_callers_are_answered_by_it(champion, hold, second):
    assert promotion(champion, hold).promoted(second, dict(LIVE)) == 2


def test_a_gateway_that_does_not_follow_is_an_accident(champion, hold, second):
    with pytest.raises(ServiceUnavailable, match="the server of version 2 died"):
        promotion(champion, hold).promoted(second, dict(NOT_LIVE))


def test_a_promotion_that_is_live_at_once_is_not_deferred(champion, hold, second, follow, monkeypatch):
    deferred(shift(champion, hold, percent=100), second)
    monkeypatch.setattr(promoting, "AT_ONCE", 30.0)
    switch = rollout.promote

    def switch_and_follow(*args, **kwargs):
        switch(*args, **kwargs)
        follow(champion.name, v2="127.0.0.1:9002")

    monkeypatch.setattr(rollout, "promote", switch_and_follow)
    assert promotion(champion, hold).execute(second) == 2


def test_restore_gives_the_champion_everything_back(champion, database, hold, second):
    deferred(shift(champion, hold, percent=75), second)
    assert restore(champion, hold, second) is True
    now = state(database, champion)
    assert (now.champion, now.challenger, now.weight, now.shadow_share) == (1, None, 0, 0)
    assert told(database, champion)[-1] == "restored"


def test_after_restore_no_earlier_task_may_change_anything(champion, hold, second):
    restore(champion, hold, second)
    with pytest.raises(StaleEpoch):
        shift(champion, hold, percent=2).execute(second)
    with pytest.raises(StaleEpoch):
        promotion(champion, hold).execute(second)


def test_restore_leaves_a_promoted_challenger_alone(champion, database, hold, second):
    deferred(shift(champion, hold, percent=100), second)
    deferred(promotion(champion, hold), second)
    assert restore(champion, hold, second) is False
    assert state(database, champion).champion == 2


def roll_back(champion, run):
    operator = RollBackOperator(task_id="roll_back", use_case=champion.name, reason="it is too slow")
    return operator.execute(run)


def test_one_click_brings_the_previous_champion_back_once(
    champion, database, registry, hold, second, context
):
    deferred(shift(champion, hold, percent=100), second)
    deferred(promotion(champion, hold), second)
    click = context({"run_id": "manual__rollback", "triggering_user_name": "bob"})
    assert [roll_back(champion, click) for _ in range(2)] == [1, 1]
    with database.connect() as connection:
        entry, before, *_ = ledger.entries(connection, champion.name)
    assert (entry["event"], entry["actor"], entry["reason"]) == ("rolled_back", "bob", "it is too slow")
    assert before["event"] == "promoted"
    aliases = registry._client.get_registered_model(champion.name).aliases
    assert {name: int(version) for name, version in aliases.items()} == {"champion": 1}


def test_without_a_previous_champion_there_is_no_way_back(champion, context):
    with pytest.raises(ReleaseError, match="no previous champion"):
        roll_back(champion, context())


def test_the_link_leads_to_what_is_served_now(champion, hold):
    link = ModelsLink().get_link(shift(champion, hold, percent=2), ti_key=None)
    assert link == f"http://127.0.0.1:9/models/{champion.name}"


def stage(use_case, hold):
    return StageModelOperator(task_id="stage", use_case=use_case.name, hold=hold)


@pytest.fixture
def server():
    """Return a way to start a server that answers each row with the prediction at the same place."""
    started = []

    def start(predictions, columns):
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["dataframe_split"]
                rows = [json.dumps(row) for row in asked["data"]]
                body = json.dumps({"predictions": [predictions[row] for row in rows]}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        started.append(server)
        return f"127.0.0.1:{server.server_port}"

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


@pytest.fixture
def golden(champion, registry):
    """Return the golden rows of version 2, as JSON text → prediction."""
    rows = versions.golden(registry, champion.name, 2, trusted=settings().trusted_keys)
    keys = [json.dumps(row) for row in rows["dataframe_split"]["data"]]
    return dict(zip(keys, rows["predictions"], strict=True))


def test_staging_waits_for_the_server_in_the_triggerer(champion, hold, second):
    waiting = deferred(stage(champion, hold), second)
    assert waiting.method_name == "smoke_test"
    assert (waiting.trigger.version, waiting.trigger.stage, waiting.trigger.patience) == (2, None, 180)


def test_a_server_that_is_ready_at_once_is_tested_at_once(champion, hold, second, server, golden, follow):
    follow(champion.name, v2=server(golden, champion.features))
    assert stage(champion, hold).execute(second)["failures"] == 0


def test_a_candidate_that_answers_as_certified_passes(champion, hold, second, server, golden):
    event = {"live": True, "reason": "", "address": server(golden, champion.features)}
    figures = stage(champion, hold).smoke_test(second, event)
    assert (figures["rows"], figures["failures"]) == (50, 0)


def test_a_candidate_that_answers_otherwise_fails(champion, hold, second, server, golden):
    wrong = {row: prediction / 2 for row, prediction in golden.items()}
    event = {"live": True, "reason": "", "address": server(wrong, champion.features)}
    with pytest.raises(RolloutFailed, match="golden rows are answered differently"):
        stage(champion, hold).smoke_test(second, event)


def test_a_candidate_that_does_not_come_up_fails_with_the_reason(champion, hold, second):
    with pytest.raises(RolloutFailed, match="cannot be served: the server of version 2 died"):
        stage(champion, hold).smoke_test(second, dict(NOT_LIVE))
