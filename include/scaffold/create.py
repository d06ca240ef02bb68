"""Creation of a model from a table: guesses, then plan, then declarations and landing files."""

from __future__ import annotations

import getpass
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import include.datasets
import include.use_cases
from include.atomic_files import write_atomically
from include.catalog import catalog
from include.errors import ConflictError, DataError
from include.scaffold.columns import infer_columns
from include.scaffold.declarations import declaration_files, forbidden_name
from include.scaffold.guesses import Choices, guess_entity, guess_label, guess_task, guess_time
from include.scaffold.landing import landing_files, write_landing_files
from include.scaffold.plan import ModelPlan, make_plan, without_determinants
from include.scaffold.tables import normalized_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from include.scaffold.columns import InferredColumn
    from include.scaffold.tables import SourceTable

NONE = "none"
NAME = re.compile(r"[a-z][a-z0-9_]*")
TASKS = ("binary", "multiclass", "regression")
QUESTIONS = {
    "label": "Which column is to be predicted?",
    "time": "Which column is the time of a row (with an hour column: date,hour), or none?",
    "entity": "Which column says what a row is about, or none?",
    "task": f"Which task: {', '.join(TASKS)}?",
    "owner": "Which team owns the model?",
}


@dataclass(frozen=True)
class NewModel:
    """A planned model: its plan, the text of each file, and the columns that nothing can hold."""

    plan: ModelPlan
    files: dict[str, str]
    unusable: tuple[str, ...]


def plan_model(table: SourceTable, name: str | None, ask: Callable[[str, str, str], str]) -> NewModel:
    """
    Plan a model of a table; nothing is written.

    Parameters
    ----------
    table
        Table to learn from.
    name
        Name of the model; by default that of the table.
    ask
        Function that returns the answer to a question: of its name, its text and the guess.

    Raises
    ------
    DataError
        If an answer does not fit the table; the message names the column and the remedy.
    """
    columns, unusable = infer_columns(table)
    choices = _make_choices(columns, ask)
    chosen = name or table.name
    problem = forbidden_name(chosen)
    if NAME.fullmatch(chosen) is None or problem:
        raise DataError(
            f"--name: {chosen!r} is no name of a model: {problem or 'use letters, digits and underscores'}."
        )
    plan = without_determinants(make_plan(chosen, table, columns, choices))
    return NewModel(plan, declaration_files(plan), unusable)


def require_free(model: NewModel) -> None:
    """Raise ConflictError if a file, a dataset, a view or a model of these names exists."""
    plan = model.plan
    declared = catalog()
    taken = {*declared.datasets, *declared.feature_views, *declared.use_cases}
    names = sorted({plan.name, plan.dataset, plan.outcomes, plan.view} & taken)
    paths = [str(path) for path in target_paths(model) if path.exists()]
    if names or paths:
        existing = ", ".join([*names, *paths])
        raise ConflictError(
            f"{existing} exists already. Choose another --name, or --force replaces the files."
        )


def target_paths(model: NewModel) -> list[Path]:
    """Return the paths of the files of declarations."""
    folders = {
        "use_cases": Path(include.use_cases.__path__[0]),
        "datasets": Path(include.datasets.__path__[0]),
    }
    return [folders[path.partition("/")[0]] / path.partition("/")[2] for path in model.files]


def write_model(model: NewModel, landing_uri: str) -> int:
    """Write the landing files, then the declarations; return the number of landing files."""
    n_files = write_landing_files(model.plan, landing_uri)
    # Labels before the model that reads them, so that no reader sees a model without them.
    for path, text in reversed(list(zip(target_paths(model), model.files.values(), strict=True))):
        write_atomically(path, text.encode())
    return n_files


def landing_paths(model: NewModel) -> list[str]:
    """Return the paths of the landing files below the landing folder."""
    return [path for path, _ in landing_files(model.plan)]


def _make_choices(columns: dict[str, InferredColumn], ask: Callable[[str, str, str], str]) -> Choices:
    def answer(question: str, guess: str) -> str:
        return ask(question, QUESTIONS[question], guess)

    time_guess = guess_time(columns)
    label = normalized_name(answer("label", guess_label(columns, time_guess)))
    time_text = answer("time", ",".join(time_guess) or NONE)
    names = () if time_text == NONE else tuple(map(normalized_name, time_text.split(",")))
    entity_text = answer("entity", guess_entity(columns, label, names) or NONE)
    entity = None if entity_text == NONE else normalized_name(entity_text)
    task = answer("task", guess_task(columns[label]) if label in columns else TASKS[0])
    if task not in TASKS:
        raise DataError(f"--task: {task!r} is none of {', '.join(TASKS)}.")
    owner = answer("owner", getpass.getuser())
    return Choices(label, entity, names, task, owner)  # type: ignore[arg-type]
