"""What a person can do on a model's page: each action is a run of a DAG, with the user's own rights."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class ChoiceField:
    """A parameter of an action that is a registered version, or a published partition of the features."""

    name: str
    label: str
    choices: Literal["versions", "partitions"]
    required: bool = False


@dataclass(frozen=True, slots=True)
class Action:
    """
    A button of a model's page: it triggers the DAG `<model>_<dag>` as the user who is logged in.

    With `needs_reason` the DAG has a parameter `reason`; `conf` are other parameters, and `fields` those that
    are chosen. `needs` says of which models the button is shown: `declared`; those that are `scored` in
    batches, or `deployable`; those with a `previous` champion or a `challenger`, whose rollout is `moving` or
    `paused`; those whose releases are `frozen` or `not frozen`; those whose champion is switched `on` or
    `off`.
    """

    name: str
    label: str
    dag: str
    help: str
    needs: str
    needs_reason: bool = False
    conf: Mapping[str, str] = field(default_factory=dict)
    fields: tuple[ChoiceField, ...] = ()


def _control(action: str, label: str, text: str, needs: str) -> Action:
    name = action.replace(" ", "_")
    return Action(name, label, "controls", text, needs, needs_reason=True, conf={"action": action})


ACTIONS: tuple[Action, ...] = (
    Action("retrain", "Retrain", "training", "Train a version on the newest data.", "declared"),
    Action(
        "deploy",
        "Deploy",
        "deployment",
        "Roll out a registered version, step by step.",
        "deployable",
        fields=(ChoiceField("version", "Version", "versions", required=True),),
    ),
    Action(
        "score",
        "Score",
        "scoring",
        "Score partitions again; without a version by the champion.",
        "scored",
        fields=(
            ChoiceField("first", "First partition", "partitions", required=True),
            ChoiceField("last", "Last partition", "partitions"),
            ChoiceField("version", "Version", "versions"),
        ),
    ),
    Action(
        "roll_back",
        "Roll back",
        "rollback",
        "Make the previous champion the champion again, and end a rollout.",
        "previous",
        needs_reason=True,
    ),
    _control(
        "pause",
        "Pause",
        "Keep the rollout at its step; a worse challenger still loses its traffic.",
        "moving",
    ),
    _control("resume", "Resume", "Let a paused rollout go on.", "paused"),
    _control("abort", "Abort", "Give the champion all traffic and end the rollout.", "challenger"),
    _control("freeze", "Freeze", "Forbid rollouts and promotions until a person lifts it.", "not frozen"),
    _control("lift", "Lift", "Allow rollouts again.", "frozen"),
    _control("switch off", "Switch off", "Give callers the declared fallback instead of the champion.", "on"),
    _control("switch on", "Switch on", "Let the champion answer again.", "off"),
)
