from __future__ import annotations

import pandas as pd

from include.data.lake.erasure import Entity
from include.data.lake.staged_frames import delete_frames, find_frames
from include.storage.staging import Staging


def test_staged_frames_of_an_entity_are_deleted(lake):
    staging = Staging(lake.uri)
    holding = staging.write("run/1", "extracted", pd.DataFrame({"person": ["ann", "bob"]}))
    staging.write("run/2", "extracted", pd.DataFrame({"person": ["bob"]}))
    staging.write("run/3", "accepted", pd.DataFrame({"car": ["ann"]}))
    entity = Entity("person", "ann")
    assert find_frames(lake, entity) == [holding]
    delete_frames(lake, [holding, "_staging/swept.parquet"])
    assert find_frames(lake, entity) == []


def test_lake_without_staged_frames_has_none(lake):
    assert find_frames(lake, Entity("person", "ann")) == []
