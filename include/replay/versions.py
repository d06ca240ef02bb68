"""Versions of a replay: the model of each as-of day, trained once for all strategies."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from include.atomic_files import write_atomically
from include.data.snapshots import snapshot as snapshots
from include.data.snapshots.leakage_history import LeakageRecord
from include.data.snapshots.snapshot import Snapshot
from include.errors import DataError, ModelError, PartitionMissing
from include.inference.decisions import DecisionRule
from include.inference.model import load_unverified
from include.modeling.evaluation.context import DataHistory, ProductionRows
from include.modeling.gates import failed, inconclusive, report
from include.modeling.pipeline.unregistered import (
    UnregisteredVersion,
    judge_unregistered,
    split_checked,
    train_unregistered,
)
from include.monitoring import windows
from include.monitoring.champion_check import ChampionContext
from include.monitoring.production_rows import SOURCES
from include.release.rollout import ReleaseState
from include.replay.journal import TrainingRecord
from include.specifications import declared_specification

if TYPE_CHECKING:
    from datetime import date, datetime
    from pathlib import Path

    from include.declarations import UseCase
    from include.declarations.specification import Specification
    from include.inference.model import ServedModel
    from include.modeling.gates import Verdict
    from include.modeling.pipeline.unregistered import Judgement
    from include.monitoring.quality.promised import Bounds
    from include.replay.lakes import FrozenLake

MODEL = "model"
SNAPSHOT = "snapshot.json"
FIGURES = "figures.json"
# Champions that are in memory with their training rows: one per strategy.
MAX_CHAMPIONS = 3


@dataclass(frozen=True, slots=True)
class VersionFigures:
    """What monitoring needs of a version: intervals of its evaluation, importances, and the decision rule."""

    intervals: dict[str, Bounds]
    importance: dict[str, float]
    rule: DecisionRule | None


class VersionStore:
    """
    Versions in a folder, by their number: the as-of day as digits, such as 20130701.

    Parameters
    ----------
    use_case
        Use case that is replayed.
    lake
        Lake with datasets and features.
    folder
        Folder of the versions.
    """

    def __init__(self, use_case: UseCase, lake: FrozenLake, folder: Path) -> None:
        self.use_case = use_case
        self.lake = lake
        self.folder = folder
        self._contexts: dict[int, ChampionContext] = {}
        self._models: dict[int, ServedModel] = {}

    def train(self, as_of: date, champion: int | None, refusals: int, moment: datetime) -> TrainingRecord:
        """
        Train the version of a day, if it does not exist, and judge it against the champion.

        Parameters
        ----------
        as_of
            Day before which the data ends.
        champion
            Number of the champion; None without one.
        refusals
            Candidates that did not pass since the last promotion.
        moment
            Until when the newest rows of production are read.
        """
        number = number_of(as_of)
        try:
            snapshot, frame = snapshots.create_with_rows(self.use_case, self.lake, as_of)
            specification = snapshot.specification or declared_specification(self.use_case)
            splits = split_checked(specification, frame)
            package = self.folder / str(number) / MODEL
            if not package.exists():
                draft = self.folder / f"{number}.draft"
                shutil.rmtree(draft, ignore_errors=True)
                draft.mkdir(parents=True)
                train_unregistered(specification, splits, draft / MODEL)
                (draft / SNAPSHOT).write_text(snapshot.to_json())
                draft.rename(self.folder / str(number))
            judgement = judge_unregistered(
                specification,
                splits,
                package,
                champion=None if champion is None else self.version(champion),
                refusals=refusals,
                history=self._history(specification, snapshot, moment),
            )
        except (DataError, ModelError) as error:
            return TrainingRecord(number, "failed", reason=str(error))
        self._write_figures(number, judgement)
        return _training_record(number, judgement.verdicts)

    def version(self, number: int) -> UnregisteredVersion:
        """Return a version that was trained."""
        return UnregisteredVersion(number, self.folder / str(number) / MODEL)

    def figures(self, number: int) -> VersionFigures:
        """Return the figures of a version that was judged."""
        content = json.loads((self.folder / str(number) / FIGURES).read_text())
        rule = content["rule"]
        return VersionFigures(
            {name: (bounds[0], bounds[1]) for name, bounds in content["intervals"].items()},
            content["importance"],
            None if rule is None else DecisionRule.read(rule),
        )

    def model(self, number: int) -> ServedModel:
        """Return the model of a version; the last few stay in memory."""
        if number not in self._models:
            _make_room(self._models)
            self._models[number] = load_unverified(self.version(number).folder)
        return self._models[number]

    def context(self, number: int) -> ChampionContext:
        """Return a version as the champion, with its training rows; the last few stay in memory."""
        if number not in self._contexts:
            _make_room(self._contexts)
            snapshot = Snapshot.from_json((self.folder / str(number) / SNAPSHOT).read_text())
            specification = snapshot.specification or declared_specification(self.use_case)
            reference = snapshots.read_snapshot(self.use_case, snapshot, self.lake)
            state = ReleaseState(self.use_case.name, champion=number)
            self._contexts[number] = ChampionContext(
                specification.governed_by(self.use_case), state, snapshot, specification, reference
            )
        return self._contexts[number]

    def _history(self, specification: Specification, snapshot: Snapshot, moment: datetime) -> DataHistory:
        """Return the leakage checks, which all published partitions passed, and the newest rows."""
        is_dated = self.use_case.split.by == "time"
        passed = len(snapshot.calendar_days())
        history = DataHistory(LeakageRecord(self.use_case.feature_view, passed=passed, undated=not is_dated))
        with suppress(PartitionMissing):
            selection = specification.selection
            newest = windows.read_partition_windows(self.lake, self.use_case, selection, end=moment, limit=1)
            for window in newest:
                production = ProductionRows(window.inputs, SOURCES["partitions"])
                history = replace(history, production=production)
        return history

    def _write_figures(self, number: int, judgement: Judgement) -> None:
        content = {
            "intervals": judgement.evidence.intervals,
            "importance": judgement.importance,
            "rule": judgement.rule.to_dict() if judgement.rule else None,
        }
        write_atomically(self.folder / str(number) / FIGURES, json.dumps(content))


def _make_room(champions: dict[int, Any]) -> None:
    """Remove the oldest champion if there are as many as may be in memory."""
    if len(champions) >= MAX_CHAMPIONS:
        del champions[next(iter(champions))]


def number_of(as_of: date) -> int:
    """Return the number of the version of a day."""
    return int(f"{as_of:%Y%m%d}")


def _training_record(number: int, verdicts: tuple[Verdict, ...]) -> TrainingRecord:
    conclusion = report.conclusion(verdicts)
    blocking = [*failed(verdicts), *inconclusive(verdicts)]
    reason = "; ".join(f"{verdict.gate}: {verdict.reason}" for verdict in blocking)
    gates = tuple(verdict.gate for verdict in blocking)
    # `conclusion` returns one of the three.
    return TrainingRecord(number, conclusion, gates, reason)  # type: ignore[arg-type]


def without_budgets(use_case: UseCase) -> UseCase:
    """Return the use case without gates on latency and memory, which are those of a model server."""
    gates = tuple(gate for gate in use_case.gates if gate.kind != "budget")
    return use_case.model_copy(update={"gates": gates})
