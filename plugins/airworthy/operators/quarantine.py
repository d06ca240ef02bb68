"""Decide about the rows that a gate refused: look at them, release them, or discard them."""

from __future__ import annotations

import re
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from airworthy import run_context
from airworthy.hooks.airworthy_database import AirworthyDatabaseHook
from airworthy.hooks.lake import LakeHook
from airworthy.links import RefusedRowsLink, report_url
from airworthy.operators.publication import outlets, publish_asset_event
from include.catalog import catalog
from include.errors import DataError, QualityFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from include.data.quarantine.queue import Quarantine, ReviewAction, RowFilter

PAST = {"release": "released", "discard": "discarded"}


class QuarantineOperator(BaseOperator):
    """
    What the operators share that look at a dataset's refused rows: which of them the run's parameters choose.

    :param dataset: a declared dataset
    :param action: what the run is to do; an operator that does something else is skipped (templated)
    """

    template_fields: Sequence[str] = ("dataset", "action")
    operator_extra_links = (RefusedRowsLink(),)
    evidence_url = ""

    def __init__(
        self,
        *,
        dataset: str,
        action: str = "{{ params.action }}",
        lake_conn_id: str = LakeHook.default_conn_name,
        airworthy_conn_id: str = AirworthyDatabaseHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dataset = dataset
        self.action = action
        self.lake_conn_id = lake_conn_id
        self.airworthy_conn_id = airworthy_conn_id

    @cached_property
    def quarantine(self) -> Quarantine:
        """The dataset's refused rows."""
        from include.data.quarantine.queue import Quarantine

        engine = AirworthyDatabaseHook(self.airworthy_conn_id).engine
        return Quarantine(catalog().datasets[self.dataset], LakeHook(self.lake_conn_id).lake, engine)

    def chosen(self, context: Context) -> RowFilter:
        """Return which rows the parameters `first`, `last`, `rows` and `reason` name; all where empty."""
        from include.data.quarantine.queue import RowFilter

        params = context["params"]
        first, last = (date.fromisoformat(day) if day else None for day in map(params.get, ("first", "last")))
        if last and not first:
            raise DataError(f"{self.dataset}: give `first` too, the day from which on rows are meant.")
        return RowFilter(first, last, tuple(params.get("rows") or ()), params.get("reason") or "")

    def decision(self, context: Context) -> ReviewAction:
        """Return who decides, and why."""
        from include.data.quarantine.queue import ReviewAction

        comment = context["params"].get("comment") or ""
        return ReviewAction(run_context.actor(context), run_context.run_key(context), comment)

    def skip_unless(self, action: str) -> None:
        """Skip the task if the run is to do something else."""
        if self.action != action:
            raise AirflowSkipException(f"The run is to {self.action}, nothing is {PAST[action]}.")


class ShowQuarantineOperator(QuarantineOperator):
    """
    Show the refused rows that the run's parameters choose: how many and why (`list`), or each of them.

    The table stands in the log and, in full, behind «Refused rows»; the XCom is the number of rows.

    Example::

        ShowQuarantineOperator(task_id="show", dataset="flights")

    :param dataset: a declared dataset
    :param action: `list` for a summary, else every row is shown (templated)
    """

    def execute(self, context: Context) -> int:
        """Return how many rows are chosen."""
        from include.data.quarantine import queue as quarantine
        from include.storage import html_tables, reports

        rows = quarantine.pending(self.quarantine, self.chosen(context))
        shown = quarantine.pending_summary(rows) if self.action == "list" else quarantine.readable(rows)
        title = f"{self.dataset}: {len(rows):,} refused rows wait"
        self.log.info("%s\n%s", title, html_tables.format_table(shown))
        path = f"quarantine/{self.dataset}/{re.sub('[^A-Za-z0-9_-]', '_', run_context.run_key(context))}.html"
        note = "Release or discard them by this DAG's parameters; `rows` takes the ids of the first column."
        hook = LakeHook(self.lake_conn_id)
        reports.write_report(
            hook.uri, hook.storage_options, path, html_tables.render_table_page(title, note, shown)
        )
        self.evidence_url = report_url(path)
        return len(rows)


class ReleaseQuarantineOperator(QuarantineOperator):
    """
    Judge the chosen rows by today's declaration, and merge those that pass into their published partitions.

    What passes leaves the quarantine with an entry in the ledger, and everybody who follows the partitions is
    told; what does not pass stays, with its new reasons. Nothing passed: the task fails.

    Example::

        ReleaseQuarantineOperator(task_id="release", dataset="flights")

    :param dataset: a declared dataset
    :param action: does nothing unless this is `release` (templated)
    """

    def __init__(self, *, dataset: str, **kwargs: Any) -> None:
        super().__init__(dataset=dataset, outlets=outlets(dataset), **kwargs)

    def execute(self, context: Context) -> int:
        """Return how many rows were released."""
        from include.data.quarantine import release

        self.skip_unless("release")
        found = release.release(self.quarantine, self.chosen(context), self.decision(context))
        figures = {"released": found.released, "kept": found.kept}
        context["ti"].xcom_push("figures", figures)
        for row, reason in found.kept.items():
            self.log.warning("%s stays: %s", row, reason)
        if found.partitions:
            publish_asset_event(context, self.dataset, found.partitions, self.quarantine.lake)
            return found.released
        if not found.kept:
            raise AirflowSkipException("No row waits that the parameters choose.")
        reasons = "; ".join(sorted(set(found.kept.values()))[:3])
        raise QualityFailed(
            f"{self.dataset}: none of {len(found.kept):,} rows may be released: {reasons}. Correct the "
            "declaration if they are right, have the source corrected if not, or discard them."
        )


class DiscardQuarantineOperator(QuarantineOperator):
    """
    Take the chosen rows out of the quarantine for good; the parameter `comment` says why, for the ledger.

    Example::

        DiscardQuarantineOperator(task_id="discard", dataset="flights")

    :param dataset: a declared dataset
    :param action: does nothing unless this is `discard` (templated)
    """

    def execute(self, context: Context) -> int:
        """Return how many rows were discarded."""
        from include.data.quarantine import queue as quarantine

        self.skip_unless("discard")
        return quarantine.discard(self.quarantine, self.chosen(context), self.decision(context))
