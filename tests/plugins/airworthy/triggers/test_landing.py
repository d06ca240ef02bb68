from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from airworthy.triggers.landing import LandingTrigger
from include.catalog import catalog
from include.data.sources.files import Landing
from include.declarations import FileSource
from tests.plugins.airworthy.triggers.firing import fired, later


@pytest.fixture
def folder(lake):
    return Path(lake.uri).parent / "landing"


@pytest.fixture
def land(folder):
    def write(day):
        file = folder / "flights" / f"{day}.csv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")

    return write


def trigger_for(*days, timeout=30.0):
    return LandingTrigger("flights", [*days], "lake_default", poll_interval=0.05, timeout=timeout)


def test_trigger_fires_when_all_files_have_landed(land):
    land("2013-07-01")
    event = {"missing": [], "location": "", "problem": "", "permanent": False}
    assert fired(trigger_for("2013-07-01")) == event


def test_trigger_waits_for_the_last_file(land):
    land("2013-07-01")
    timer = later(lambda: land("2013-07-02"))
    assert fired(trigger_for("2013-07-01", "2013-07-02"))["missing"] == []
    timer.join()


def test_trigger_names_the_missing_file_after_its_timeout(land, folder):
    land("2013-07-01")
    event = fired(trigger_for("2013-07-01", "2013-07-02", timeout=0.1))
    location = Landing(str(folder)).location(catalog().datasets["flights"], date(2013, 7, 2))
    assert event == {"missing": ["2013-07-02"], "location": location, "problem": "", "permanent": False}


def test_dataset_that_is_declared_later_is_found(land, declare_dataset):
    land("2013-07-01")
    trigger = trigger_for("2013-07-01")
    trigger.dataset = "voyages"
    event = fired(trigger)
    assert event["permanent"]
    assert event["problem"].startswith("voyages is not declared: there is no include/datasets/voyages.py")
    declare_dataset(catalog().datasets["flights"].model_copy(update={"name": "voyages"}))
    assert fired(trigger)["missing"] == []


def test_corrected_path_is_seen_while_the_trigger_waits(land, declare_dataset):
    flights = catalog().datasets["flights"]
    land("2013-07-01")
    wrong = flights.model_copy(update={"source": FileSource(path="fights/{partition}.csv")})
    declare_dataset(wrong)
    timer = later(lambda: declare_dataset(flights))
    assert fired(trigger_for("2013-07-01"))["missing"] == []
    timer.join()
