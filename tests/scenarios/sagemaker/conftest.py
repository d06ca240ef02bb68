from __future__ import annotations

from tests.include.release.targets.conftest import aws, moto_server, packages, target, use_case

__all__ = ["aws", "moto_server", "packages", "target", "use_case"]
