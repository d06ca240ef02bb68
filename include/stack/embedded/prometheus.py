"""Debian's Prometheus beside the embedded stack: its configuration and its command."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

from include.atomic_files import write_atomically
from include.errors import SettingsError
from include.stack.embedded.environment import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

    from include.settings import Settings

ALERT_RULES = REPOSITORY / "docker" / "prometheus" / "alerts.yml"
RETENTION = "15d"


def prometheus_command(settings: Settings, port: int, token_file: Path | None = None) -> list[str]:
    """
    Write the configuration of Prometheus, and return the command that starts it on 127.0.0.1.

    Parameters
    ----------
    settings
        Those of the stack, whose gateway is scraped.
    port
        TCP port of its pages.
    token_file
        File with a token of the scope `--metrics`, where callers of the gateway need one.

    Raises
    ------
    SettingsError
        If Prometheus is not installed, or there is no such file.
    """
    program = shutil.which("prometheus")
    if program is None:
        raise SettingsError("Prometheus is missing. Install it with: apt-get install prometheus")
    folder = settings.root / "prometheus"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "prometheus.yml"
    # JSON is YAML, too.
    write_atomically(file, json.dumps(_configuration(settings, token_file), indent=2))
    return [
        program,
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--storage.tsdb.retention.time={RETENTION}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]


def _configuration(settings: Settings, token_file: Path | None) -> dict[str, Any]:
    gateway: dict[str, Any] = {"static_configs": [{"targets": [f"127.0.0.1:{settings.gateway_port}"]}]}
    if token_file is not None:
        if not token_file.is_file():
            raise SettingsError(f"There is no file {token_file} with a token. See docs/how-to/tokens.md.")
        gateway["authorization"] = {"credentials_file": str(token_file.resolve())}
    return {
        "global": {"scrape_interval": "15s"},
        "rule_files": [str(ALERT_RULES)],
        "scrape_configs": [
            {"job_name": "models", **gateway},
            {"job_name": "haproxy", "metrics_path": "/metrics/haproxy", **gateway},
        ],
    }
