"""Entry point of a model server's process: `python -m include.serving.model_server`."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path

from include.errors import AirworthyError
from include.inference.download import download_version
from include.serving.model_server.app import CANNOT_SERVE, serve_version
from include.settings import settings


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
    parser.add_argument("--download", action="store_true", help="first download the folder from MLflow")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        if arguments.download:
            download_version(settings().mlflow_uri, arguments.use_case, arguments.version, arguments.folder)
    except AirworthyError as error:
        sys.stderr.write(json.dumps({"error": str(error)}) + "\n")
        return CANNOT_SERVE
    return serve_version(
        arguments.use_case, arguments.version, arguments.folder, arguments.port, replica=arguments.replica
    )


if __name__ == "__main__":
    raise SystemExit(main())
