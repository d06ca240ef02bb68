"""Entry point of a model server's process: `python -m include.serving.model_server`."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from include.serving.model_server.app import serve_version


def main() -> int:
    """Parse the command line and serve the version until SIGTERM; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m include.serving.model_server", description="Serve one version of one model."
    )
    parser.add_argument("--use-case", required=True)
    parser.add_argument("--version", type=int, required=True)
    parser.add_argument("--replica", type=int, default=1)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    return serve_version(
        arguments.use_case, arguments.version, arguments.folder, arguments.port, replica=arguments.replica
    )


if __name__ == "__main__":
    raise SystemExit(main())
