"""All model servers of a home: those that are wanted run, and those that are not end after a grace."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from include.serving.controller import processes
from include.serving.controller.instance import Instance

if TYPE_CHECKING:
    from collections.abc import Collection

    from include.serving.gateway.config import Server

# Longer than an idle connection is kept open (timeout http-keep-alive): whoever still has one to a worker of
# HAProxy that was replaced may send one more request by its old routes.
DRAIN_SECONDS = 15.0


class Fleet:
    """The model servers, by use case and version."""

    def __init__(self, grace: float = DRAIN_SECONDS) -> None:
        self._instances: dict[tuple[str, int], Instance] = {}
        self._grace = grace
        self._pool = ThreadPoolExecutor(8, "fleet")

    def adopt(self, routable: Collection[Server]) -> None:
        """
        Take over what an earlier controller left running; a second process of one version is ended.

        What HAProxy can route to keeps its port, whether its process runs or has to be started anew.
        """
        for server in routable:
            self._instances[server.use_case, server.version] = Instance(
                server.use_case, server.version, self._pool, server
            )
        for server, process in processes.find_servers():
            key = (server.use_case, server.version)
            instance = self._instances.setdefault(key, Instance(*key, self._pool))
            if instance.process is None and instance.port in {None, server.port}:
                instance.adopt(server, process)
            else:
                processes.end_server([process], patience=2)

    def set_desired(self, keys: set[tuple[str, int]]) -> None:
        """Say which versions are needed now."""
        now = time.monotonic()
        for key in keys - self._instances.keys():
            self._instances[key] = Instance(*key, self._pool)
        for key, instance in list(self._instances.items()):
            if key in keys:
                instance.unwanted_since = None
            elif instance.unwanted_since is None:
                instance.unwanted_since = now
            elif now - instance.unwanted_since > self._grace:
                del self._instances[key]
                if instance.process is not None:
                    self._pool.submit(processes.end_server, [instance.process])

    def step(self) -> None:
        """Move every model server on."""
        for instance in self._instances.values():
            if instance.unwanted_since is None or instance.process is not None:
                instance.step(partial(processes.free_port, self._ports()))

    def get(self, use_case: str, version: int) -> Instance | None:
        """Return the instance of a version, if it is wanted or in its grace."""
        return self._instances.get((use_case, version))

    def servers(self) -> list[Server]:
        """Return every server that can be routed to."""
        return [instance.server for instance in self._instances.values() if instance.server is not None]

    def ready(self) -> list[Server]:
        """Return every server that answers now."""
        return [
            instance.server for instance in self._instances.values() if instance.ready and instance.server
        ]

    @property
    def settled(self) -> bool:
        """Whether nothing is being started."""
        return all(instance.ready for instance in self._instances.values())

    def stop(self) -> None:
        """End every model server, and wait for it."""
        processes.end_server([each.process for each in self._instances.values() if each.process is not None])
        self._pool.shutdown(cancel_futures=True)

    def _ports(self) -> set[int]:
        return {instance.port for instance in self._instances.values() if instance.port is not None}
