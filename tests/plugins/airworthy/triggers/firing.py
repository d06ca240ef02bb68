"""Run a trigger as the triggerer does: from its serialized arguments."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.triggers.base import BaseTrigger

TIMEOUT_S = 60


def fired(trigger: BaseTrigger) -> Any:
    """Return the payload of the first event of a trigger that is built from its serialized arguments."""
    path, arguments = trigger.serialize()
    assert path == f"{type(trigger).__module__}.{type(trigger).__name__}"
    rebuilt = type(trigger)(**json.loads(json.dumps(arguments)))

    async def first_payload() -> Any:
        return (await anext(rebuilt.run())).payload

    return asyncio.run(asyncio.wait_for(first_payload(), TIMEOUT_S))


def later(action: Callable[[], object], seconds: float = 0.3) -> threading.Timer:
    timer = threading.Timer(seconds, action)
    timer.start()
    return timer
