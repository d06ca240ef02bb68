"""The model servers of a home: started when a version is desired, ended after a drain when it is not."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import psutil

from include.processes import end_processes
from include.serving.controller import processes
from include.serving.controller.instance import Instance
from include.serving.controller.preparation import Preparations

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from include.serving.controller.instance import InstanceKey
    from include.serving.gateway.config import Server

# Longer than HAProxy keeps an idle connection open (timeout http-keep-alive): on a connection to a worker
# that was replaced, a caller may send one more request, which is routed by the old routes.
DRAIN_SECONDS = 15.0
DUPLICATE_TIMEOUT_S = 2.0
N_THREADS = 32


class Fleet:
    """
    The model servers, several for each version.

    Parameters
    ----------
    drain_seconds
        How long a server that is no longer desired goes on serving.
    """

    def __init__(self, drain_seconds: float = DRAIN_SECONDS) -> None:
        self._instances: dict[InstanceKey, Instance] = {}
        self._desired: dict[tuple[str, int], int] = {}
        self._drain_seconds = drain_seconds
        self._pool = ThreadPoolExecutor(N_THREADS, "fleet")
        self._prepare = Preparations(self._pool).begin

    def adopt(self, routable: Collection[Server]) -> None:
        """
        Take over the model servers of an earlier controller, and end duplicates.

        Parameters
        ----------
        routable
            Servers that HAProxy can route to. Each keeps its port, whether its process runs or not.
        """
        for server in routable:
            self._instances[server.key] = Instance(server.key, self._pool, self._prepare, server)
        for server, process in processes.find_servers():
            instance = self._add(server.key)
            if instance.process is None and instance.port in {None, server.port}:
                instance.adopt(server, process)
            else:
                end_processes([process], timeout_s=DUPLICATE_TIMEOUT_S)

    def set_desired(self, replicas: Mapping[tuple[str, int], int]) -> None:
        """Set how many servers each version should have, by use case and version; others are drained."""
        now = time.monotonic()
        self._desired = dict(replicas)
        for (use_case, version), count in replicas.items():
            for number in range(1, count + 1):
                self._add((use_case, version, number))
        for instance in self._instances.values():
            if instance.replica <= replicas.get((instance.use_case, instance.version), 0):
                instance.undesired_since = None
            elif instance.undesired_since is None:
                instance.undesired_since = now

    def end_drained(self) -> None:
        """End the servers that were not desired for the time of a drain."""
        now = time.monotonic()
        for key, instance in list(self._instances.items()):
            if instance.undesired_since is None or now - instance.undesired_since <= self._drain_seconds:
                continue
            del self._instances[key]
            if instance.process is not None:
                self._pool.submit(end_processes, [instance.process])

    def step(self) -> None:
        """Take the next action of each instance."""
        for instance in self._instances.values():
            if instance.undesired_since is None or instance.process is not None:
                instance.step(partial(processes.free_port, self._ports()))

    def replicas(self, use_case: str, version: int) -> list[Instance]:
        """Return the instances of a version that is desired or drained."""
        in_order = sorted(self._instances.items())
        return [
            instance
            for key, instance in in_order
            if key[:2] == (use_case, version) and not self._is_surplus(instance)
        ]

    def servers(self) -> list[Server]:
        """Return all servers that can be routed to."""
        return [
            instance.server
            for instance in self._instances.values()
            if instance.server is not None and not self._is_surplus(instance)
        ]

    def ready(self) -> list[Server]:
        """Return all servers that answer now."""
        return [
            instance.server for instance in self._instances.values() if instance.ready and instance.server
        ]

    def memory(self) -> list[dict[str, Any]]:
        """Return the resident memory of each server that answers: use case, version, replica and bytes."""
        samples = []
        for (use_case, version, replica), instance in self._instances.items():
            if not instance.ready or instance.process is None:
                continue
            with suppress(psutil.Error):
                size = instance.process.memory_info().rss
                samples.append({"use_case": use_case, "version": version, "replica": replica, "bytes": size})
        return samples

    @property
    def settled(self) -> bool:
        """Whether all instances are ready."""
        return all(instance.ready for instance in self._instances.values())

    def stop(self) -> None:
        """End all model servers and wait for them."""
        running = [instance.process for instance in self._instances.values() if instance.process is not None]
        end_processes(running)
        self._pool.shutdown(cancel_futures=True)

    def _is_surplus(self, instance: Instance) -> bool:
        """Return whether the version of an instance is desired with fewer replicas."""
        return instance.replica > self._desired.get((instance.use_case, instance.version), instance.replica)

    def _add(self, key: InstanceKey) -> Instance:
        if key not in self._instances:
            self._instances[key] = Instance(key, self._pool, self._prepare)
        return self._instances[key]

    def _ports(self) -> set[int]:
        return {instance.port for instance in self._instances.values() if instance.port is not None}
