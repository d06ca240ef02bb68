"""The model servers of a home: started when a version is desired, ended after a drain when it is not."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from include.processes import end_processes
from include.serving.controller import processes
from include.serving.controller.instance import Instance

if TYPE_CHECKING:
    from collections.abc import Collection

    from include.serving.gateway.config import Server

# Longer than HAProxy keeps an idle connection open (timeout http-keep-alive): on a connection to a worker
# that was replaced, a caller may send one more request, which is routed by the old routes.
DRAIN_SECONDS = 15.0
DUPLICATE_TIMEOUT_S = 2.0
N_THREADS = 8


class Fleet:
    """
    The instances by use case and version.

    Parameters
    ----------
    drain_seconds
        How long the server of a version that is no longer desired goes on serving.
    """

    def __init__(self, drain_seconds: float = DRAIN_SECONDS) -> None:
        self._instances: dict[tuple[str, int], Instance] = {}
        self._drain_seconds = drain_seconds
        self._pool = ThreadPoolExecutor(N_THREADS, "fleet")

    def adopt(self, routable: Collection[Server]) -> None:
        """
        Take over the model servers of an earlier controller, and end duplicates.

        Parameters
        ----------
        routable
            Servers that HAProxy can route to. Each keeps its port, whether its process runs or not.
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
                end_processes([process], timeout_s=DUPLICATE_TIMEOUT_S)

    def set_desired(self, keys: set[tuple[str, int]]) -> None:
        """Set the versions that are desired now, as pairs of use case and version."""
        now = time.monotonic()
        for key in keys - self._instances.keys():
            self._instances[key] = Instance(*key, self._pool)
        for key, instance in list(self._instances.items()):
            if key in keys:
                instance.undesired_since = None
            elif instance.undesired_since is None:
                instance.undesired_since = now
            elif now - instance.undesired_since > self._drain_seconds:
                del self._instances[key]
                if instance.process is not None:
                    self._pool.submit(end_processes, [instance.process])

    def step(self) -> None:
        """Take the next action of each instance."""
        for instance in self._instances.values():
            if instance.undesired_since is None or instance.process is not None:
                instance.step(partial(processes.free_port, self._ports()))

    def get(self, use_case: str, version: int) -> Instance | None:
        """Return the instance of a version that is desired or drained."""
        return self._instances.get((use_case, version))

    def servers(self) -> list[Server]:
        """Return all servers that can be routed to."""
        return [instance.server for instance in self._instances.values() if instance.server is not None]

    def ready(self) -> list[Server]:
        """Return all servers that answer now."""
        return [
            instance.server for instance in self._instances.values() if instance.ready and instance.server
        ]

    @property
    def settled(self) -> bool:
        """Whether all instances are ready."""
        return all(instance.ready for instance in self._instances.values())

    def stop(self) -> None:
        """End all model servers and wait for them."""
        running = [instance.process for instance in self._instances.values() if instance.process is not None]
        end_processes(running)
        self._pool.shutdown(cancel_futures=True)

    def _ports(self) -> set[int]:
        return {instance.port for instance in self._instances.values() if instance.port is not None}
