"""How far the present step of a model's rollout is, while it waits for requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select

from include.database.tables import ledger
from include.release import rollout
from include.release.rollout_status import analyse_stage

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from include.declarations import UseCase
    from include.release.analysis import RolloutStage

# Events that begin a step, and what it is then.
STAGES: dict[str, RolloutStage] = {"shadowed": "shadow", "shifted": "canary"}


@dataclass(frozen=True, slots=True)
class StepProgress:
    """
    A step of the rollout that the DAG run `run` (`<dag>/<run id>`) owns.

    The challenger has got `requests` of the `required` ones; `finding` is what the analysis says so far.
    """

    run: str
    task: str
    requests: int
    required: int
    finding: str


def read_step_progress(connection: Connection, use_case: UseCase) -> StepProgress | None:
    """Return the step that the challenger of a model is at; None without one."""
    state = rollout.read_state(connection, use_case.name)
    if state.challenger is None or not state.owner:
        return None
    query = (
        select(ledger.c.at, ledger.c.event, ledger.c.dedup_key)
        .where(
            ledger.c.use_case == use_case.name,
            ledger.c.version == state.challenger,
            ledger.c.event.in_(STAGES),
            ledger.c.dedup_key.startswith(f"{state.owner}/{state.epoch}/", autoescape=True),
        )
        .order_by(ledger.c.id.desc())
        .limit(1)
    )
    step = connection.execute(query).first()
    if step is None:
        return None
    task = step.dedup_key.rpartition("/")[2]
    analysis = analyse_stage(connection, use_case, state.challenger, since=step.at, stage=STAGES[step.event])
    requests = analysis.figures["challenger"]["requests"]
    return StepProgress(state.owner, task, requests, analysis.figures["required"], analysis.reason)
