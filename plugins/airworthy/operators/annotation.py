"""Operator of labels by people: rows that are worth one, labels that were filled in, corrected answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airworthy import run_context
from airworthy.hooks.lake import LakeHook
from airworthy.links import ModelPageLink
from airworthy.operators.drift import MonitoringOperator
from include.catalog import catalog
from include.errors import DataError, PartitionMissing
from include.settings import settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from include.annotation.corrections import Stores, WrittenLabels

EXPORT = "export"
IMPORT = "import"
CORRECT = "correct"
FOLDER = "annotations"


class AnnotationOperator(MonitoringOperator):
    """
    Export rows that are worth a label, import the labels of a file, or correct one answer.

    The file is in the landing folder: `annotations/<use case>_to_label.csv` is written, and
    `annotations/<use case>_labelled.csv` is read. The parameters of the run say what to do. The XCom is a
    list of arguments of the runs that ingest the changed labels, one set for each contiguous range.

    Example::

        AnnotationOperator(task_id="annotate", use_case="flight_delay")

    :param use_case: a declared use case
    :param action: `export`, `import` or `correct` (templated)
    """

    template_fields: Sequence[str] = ("use_case", "action")
    operator_extra_links = (ModelPageLink(),)

    def __init__(self, *, action: str = "{{ params.action }}", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.action = action

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Return the arguments of the runs that ingest labels."""
        if self.action == EXPORT:
            self._export(context)
            return []
        reason = str(context["params"].get("reason") or "").strip()
        if not reason:
            raise DataError(f"To {self.action}, give the parameter reason: the ledger has it.")
        written = self._import(context, reason) if self.action == IMPORT else self._correct(context, reason)
        self.log.info(
            "%s: %d of %d labels changed in %s",
            written.dataset, written.changed, written.labels, ", ".join(written.partitions) or "no partition",
        )  # fmt: skip
        # An earlier try may have written the labels, and died before their ingestion was started.
        partitions = written.partitions if context["ti"].try_number == 1 else written.all_partitions
        return [_ingestion_of(key, context) for key in partitions]

    def _export(self, context: Context) -> None:
        from include.annotation.queue import select_queue
        from include.annotation.sheet import write_sheet
        from include.storage import filesystem

        hook = LakeHook(self.lake_conn_id)
        with self.engine.connect() as connection:
            champion = self.read_champion(connection, hook.lake, run_context.moment(context))
            importance = self.read_importance(champion.state.champion)
            limit = context["params"].get("rows")
            rows = select_queue(champion, connection, hook.lake, importance=importance, limit=limit)
        keys = champion.specification.selection.spine.label_keys
        content = write_sheet(champion.use_case, keys, rows, settings().pseudonym_key)
        files = filesystem.open_filesystem(hook.landing.uri, hook.landing.storage_options)
        path = f"{FOLDER}/{self.use_case}_to_label.csv"
        filesystem.write_file(files, path, content.encode())
        self.log.info("%d rows are in %s/%s", len(rows), hook.landing.uri, path)

    def _import(self, context: Context, reason: str) -> WrittenLabels:
        from include.annotation.corrections import import_labels
        from include.storage import filesystem

        landing = LakeHook(self.lake_conn_id).landing
        files = filesystem.open_filesystem(landing.uri, landing.storage_options)
        path = f"{FOLDER}/{self.use_case}_labelled.csv"
        if filesystem.find_missing(files, [path]):
            raise PartitionMissing(f"{landing.uri}/{path} is not there. Put the filled-in file there.")
        with files.open_input_stream(path) as stream:
            content = stream.read()
        try:
            text = content.decode()
        except UnicodeDecodeError as error:
            raise DataError(f"{landing.uri}/{path} is no text in UTF-8: save it as CSV.") from error
        use_case = catalog().use_cases[self.use_case]
        return import_labels(self._stores(), use_case, text, actor=run_context.actor(context), reason=reason)

    def _correct(self, context: Context, reason: str) -> WrittenLabels:
        from include.annotation.corrections import correct_answer

        params = context["params"]
        request = params.get("request")
        label = params.get("label")
        if not request or label is None:
            raise DataError("To correct an answer, give the parameters request and label.")
        return correct_answer(
            self._stores(), request, label,
            row=params.get("row"), model=self.use_case, actor=run_context.actor(context), reason=reason,
        )  # fmt: skip

    def _stores(self) -> Stores:
        from include.annotation.corrections import Stores
        from include.annotation.landed_labels import LandingFolder

        hook = LakeHook(self.lake_conn_id)
        landing = LandingFolder(hook.landing.uri, hook.landing.storage_options)
        return Stores(self.engine, hook.lake, landing, settings().pseudonym_key)


def _ingestion_of(key: str, context: Context) -> dict[str, Any]:
    """Return the arguments of the run that ingests a partition or range; its id is that of this run."""
    first, _, last = key.partition("..")
    run_id = f"labels__{key}__{context['dag_run'].run_id}"
    return {"trigger_run_id": run_id, "conf": {"first": first, "last": last or first}}
