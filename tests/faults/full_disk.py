"""`python -m tests.faults.full_disk <lake>`: publish under a limit on file sizes, then without it."""

from __future__ import annotations

import resource
import sys

import pandas as pd

from include.data.lake.delta_tables import Lake
from include.errors import ServiceUnavailable
from include.storage.staging import Staging
from tests.faults.publisher import DAYS

SMALL, BIG = DAYS[:2]
MAX_FILE_BYTES = 100_000


def rows(day: object, count: int) -> pd.DataFrame:
    return pd.DataFrame(
        {"id": [f"{day}/{hash((day, number))}" for number in range(count)], "_airworthy_day": str(day)}
    )


def main(uri: str) -> None:
    """Print the error of each attempt under the limit, then its result without the limit."""
    lake = Lake(uri)
    staging = Staging(uri)
    unlimited = resource.RLIM_INFINITY
    lake.publish("things", rows(SMALL, 3), [SMALL], metadata={"run": "before", "try": "1"})
    resource.setrlimit(resource.RLIMIT_FSIZE, (MAX_FILE_BYTES, unlimited))
    attempts = (
        lambda: lake.publish("things", rows(BIG, 50_000), [BIG], metadata={"run": "big", "try": "1"}),
        lambda: staging.write("run", "extracted", rows(BIG, 50_000)),
    )
    for attempt in attempts:
        try:
            attempt()
        except ServiceUnavailable as error:
            print(str(error).replace("\n", " "))  # noqa: T201
    lake.publish("things", rows(SMALL, 2), [SMALL], metadata={"run": "small", "try": "1"})
    resource.setrlimit(resource.RLIMIT_FSIZE, (unlimited, unlimited))
    for attempt in attempts:
        print(attempt())  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1])
