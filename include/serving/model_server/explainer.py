"""
`python -m include.serving.model_server.explainer`: explain predictions in a process of its own.

It reads one request per line from standard input and writes one response per line to standard output. Its
priority is low, so that it takes only the processor time that predictions leave.
"""

from __future__ import annotations

import json
import os
import select
import sys
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.errors import AirworthyError
from include.inference.model import ServedModel, load_model
from include.inference.scoring_protocol import BadRequest
from include.inference.shapley import attribute, background
from include.serving.model_server.logged_requests import parse_records
from include.settings import settings

if TYPE_CHECKING:
    import pandas as pd

LOW_PRIORITY = 10
# After this time without a request the process ends, so that its memory is free.
IDLE_TIMEOUT_S = 300.0
INTERNAL_ERROR = 500


class ModelExplainer:
    """Explains predictions of the version that was asked for last, which stays in memory."""

    def __init__(self) -> None:
        self._folder = ""
        self._loaded: tuple[ServedModel, pd.DataFrame] | None = None

    def explain(self, use_case: str, folder: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """
        Return the attribution of each row as JSON.

        Parameters
        ----------
        use_case
            Use case that the certificate must name.
        folder
            Folder of the version's files.
        rows
            Features, and perhaps keys, of each row.
        """
        if self._loaded is None or self._folder != folder:
            path = Path(folder)
            model = load_model(path, settings().trusted_keys, use_case=use_case)
            self._loaded = (model, background(path, model))
            self._folder = folder
        model, usual_rows = self._loaded
        return [asdict(item) for item in attribute(model, usual_rows, parse_records(model, rows))]

    def respond(self, line: str) -> dict[str, Any]:
        """Return the response to a request; an error is one, too."""
        try:
            return {"explanations": self.explain(**json.loads(line))}
        except BadRequest as error:
            return {"error": str(error), "status": error.status}
        except AirworthyError as error:
            return {"error": str(error), "status": INTERNAL_ERROR}
        except Exception as error:  # noqa: BLE001  the estimator is foreign code and may raise anything
            message = f"the model failed with {type(error).__name__}: {error}"
            return {"error": message, "status": INTERNAL_ERROR}


def main() -> None:
    """Answer requests until standard input ends, or none comes for `IDLE_TIMEOUT_S`."""
    os.nice(LOW_PRIORITY)
    # What a library prints must not be taken for a response.
    responses = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    explainer = ModelExplainer()
    # The import takes seconds; a request that waits for it is told so.
    import_module("shap.explainers")
    responses.write("{}\n")
    responses.flush()
    while True:
        ready, _, _ = select.select([sys.stdin.fileno()], [], [], IDLE_TIMEOUT_S)
        line = sys.stdin.readline() if ready else ""
        if not line:
            return
        responses.write(json.dumps(explainer.respond(line)) + "\n")
        responses.flush()


if __name__ == "__main__":
    main()
