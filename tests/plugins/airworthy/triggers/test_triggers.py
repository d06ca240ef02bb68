"""The triggers, as the triggerer runs them: made again from JSON, against the real database and files."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from datetime import date
from pathlib import Path

import pytest

from airworthy.triggers import rollout as rollout_trigger
from airworthy.triggers.landing import LandingTrigger
from airworthy.triggers.rollout import RolloutTrigger
from include.catalog import catalog
from include.data.sources.files import Landing
from include.release import rollout, rollout_status


def fired(trigger):
    """Return what the trigger says, made again from what it serialised to."""
    path, stored = trigger.serialize()
    assert path == f"{type(trigger).__module__}.{type(trigger).__name__}"
    again = type(trigger)(**json.loads(json.dumps(stored)))

    async def first():
        return (await anext(again.run())).payload

    return asyncio.run(asyncio.wait_for(first(), 60))


def later(action, seconds=0.3):
    timer = threading.Timer(seconds, action)
    timer.start()
    return timer


@pytest.fixture
def land(lake):
    def land(day):
        path = Path(lake.uri).parent / "landing" / "flights" / f"{day}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")

    return land


def landing_trigger(*days, patience=30.0):
    return LandingTrigger("flights", [*days], "lake_default", poll_interval=0.05, patience=patience)


def test_fires_when_everything_has_landed(land):
    land("2013-07-01")
    found = {"missing": [], "place": "", "problem": "", "hopeless": False}
    assert fired(landing_trigger("2013-07-01")) == found


def test_fires_as_soon_as_the_last_file_lands(land):
    land("2013-07-01")
    timer = later(lambda: land("2013-07-02"))
    assert fired(landing_trigger("2013-07-01", "2013-07-02"))["missing"] == []
    timer.join()


def test_gives_up_naming_what_is_missing_and_where_it_should_be(land, lake):
    land("2013-07-01")
    event = fired(landing_trigger("2013-07-01", "2013-07-02", patience=0.1))
    place = Landing(str(Path(lake.uri).parent / "landing")).location(
        catalog().datasets["flights"], date(2013, 7, 2)
    )
    assert event == {"missing": ["2013-07-02"], "place": place, "problem": "", "hopeless": False}


@pytest.fixture
def watch(use_case, database, monkeypatch):
    """Return a trigger that watches version 2 replace version 1 of the use case."""
    monkeypatch.setattr(rollout_trigger, "POLL_INTERVAL_S", 0.02)
    first = rollout.begin(database, use_case.name, 1, owner="earlier", actor="ann")
    rollout.promote(database, first, reason="the first", evidence={})
    hold = rollout.begin(database, use_case.name, 2, owner="now", actor="ann")
    rollout.shift(database, hold, weight=2_500, shadow_share=0, reason="canary", key="canary")
    since = rollout_status.now(database).isoformat()

    def make(**changes):
        return RolloutTrigger(use_case.name, 2, since, "airworthy_db", **{"patience": 30.0} | changes)

    return make


def test_fires_when_what_is_desired_is_live(watch, follow, use_case):
    follow(use_case.name, v2="127.0.0.1:9002")
    assert fired(watch()) == {"live": True, "reason": "", "address": "127.0.0.1:9002"}


def test_fires_as_soon_as_the_controller_has_followed(watch, follow, use_case):
    timer = later(lambda: follow(use_case.name))
    assert fired(watch())["live"] is True
    timer.join()


def test_after_its_patience_it_fires_as_things_are(watch):
    event = fired(watch(patience=0.1))
    assert (event["live"], event["reason"]) == (False, "the controller has not followed yet")


def test_what_the_controller_could_not_bring_up_comes_with_its_reason(watch, follow, use_case):
    follow(use_case.name, ready=False, reason="the port is taken")
    assert fired(watch(patience=0.1)) == {"live": False, "reason": "the port is taken", "address": None}


def test_an_older_generation_is_not_what_is_desired(watch, follow, use_case, database):
    follow(use_case.name)
    rollout.begin(database, use_case.name, 3, owner="now", actor="ann")
    assert fired(watch(patience=0.1))["live"] is False


def test_what_is_live_bakes(watch, follow, use_case):
    follow(use_case.name)
    began = time.monotonic()
    fired(watch(bake=0.4))
    assert time.monotonic() - began >= 0.4


def test_a_canary_is_watched_until_it_can_be_judged(watch, follow, serve, use_case):
    follow(use_case.name)
    serve(use_case.name, 1, "champion")
    timer = later(lambda: serve(use_case.name, 2, "challenger"))
    assert fired(watch(stage="canary"))["live"] is True
    timer.join()


def test_a_canary_that_nobody_asks_is_watched_for_all_of_its_patience(watch, follow, serve, use_case):
    follow(use_case.name)
    serve(use_case.name, 1, "champion")
    began = time.monotonic()
    fired(watch(stage="canary", patience=0.4))
    assert time.monotonic() - began >= 0.4


def test_a_challenger_that_has_to_go_back_is_not_waited_for(watch, follow, serve, use_case):
    follow(use_case.name)
    serve(use_case.name, 1, "champion")
    serve(use_case.name, 2, "challenger", status=500)
    began = time.monotonic()
    assert fired(watch(stage="canary", bake=30.0, patience=50.0))["live"] is True
    assert time.monotonic() - began < 20


def test_what_comes_at_once_needs_no_triggerer(watch, follow, use_case, database):
    timer = later(lambda: follow(use_case.name, v2="127.0.0.1:9002"))
    event = watch().at_once(database, 30.0)
    assert event == {"live": True, "reason": "", "address": "127.0.0.1:9002"}
    timer.join()


def test_what_takes_longer_is_left_to_the_triggerer(watch, follow, use_case, database):
    assert watch().at_once(database, 0.1) is None
    follow(use_case.name)
    began = time.monotonic()
    assert watch(bake=60.0).at_once(database, 30.0) is None
    assert time.monotonic() - began < 5
