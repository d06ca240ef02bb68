"""Reader of the losses of a rollout, which looks for new labels once in a while."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from include.errors import AirworthyError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from include.data.lake.delta_tables import Lake
    from include.declarations import UseCase
    from include.release.analysis import Losses

# Labels land in partitions, and reading them costs more than a look at the logs.
LABELS_INTERVAL_S = 60.0
_log = logging.getLogger(__name__)


class LossReader:
    """
    Reads the losses of champion and challenger, first after `wait_s` and then every `LABELS_INTERVAL_S`.

    :param lake: lake with the labels; None reads nothing
    :param wait_s: shorter steps are compared by their task alone
    """

    def __init__(self, lake: Lake | None, wait_s: float = 0.0) -> None:
        self._lake = lake
        self._read_at = time.monotonic() + wait_s - LABELS_INTERVAL_S
        self._losses: Losses | None = None

    def read(self, connection: Connection, use_case: UseCase, version: int) -> Losses | None:
        """Return the losses of the last look; labels that cannot be joined are reported, and not judged."""
        now = time.monotonic()
        if self._lake is None or now < self._read_at + LABELS_INTERVAL_S:
            return self._losses
        self._read_at = now
        from include.monitoring.rollout_losses import read_losses

        try:
            self._losses = read_losses(connection, self._lake, use_case, version)
        except AirworthyError as error:
            _log.warning("%s version %d: no labels to judge by: %s", use_case.name, version, error)
        return self._losses
