"""Every measurement by its name, in the order in which they are taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench.lifecycle import lifecycle_overhead_ratio

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.bench.figures import Figure
    from tests.bench.rig import Rig

MEASUREMENTS: dict[str, Callable[[Rig], Figure]] = {
    "lifecycle_overhead_ratio": lifecycle_overhead_ratio,
}
ON_REQUEST: frozenset[str] = frozenset()
