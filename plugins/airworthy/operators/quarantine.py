"""Operators that list, release and discard the rejected rows of a dataset."""

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
from airworthy.links import RejectedRowsLink, report_url
from airworthy.operators.publication import outlets, publish_asset_event
from include.catalog import catalog
from include.errors import DataError, QualityFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from include.data.quarantine.queue import Quarantine, ReviewAction, RowFilter

PAST_TENSE = {"release": "released", "discard": "discarded"}


class QuarantineOperator(BaseOperator):
    """
    Base of the operators for the rejected rows of a dataset, which the parameters of the run select.

    :param dataset: a declared dataset
    :param action: action of the run; an operator for another action is skipped (templated)
    """

    template_fields: Sequence[str] = ("dataset", "action")
    operator_extra_links = (RejectedRowsLink(),)
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
        """The rejected rows of the dataset."""
        from include.data.quarantine.queue import Quarantine

        engine = AirworthyDatabaseHook(self.airworthy_conn_id).engine
        return Quarantine(catalog().datasets[self.dataset], LakeHook(self.lake_conn_id).lake, engine)

    def row_filter(self, context: Context) -> RowFilter:
        """Return the filter of the parameters `first`, `last`, `rows` and `reason`; all rows without them."""
        from include.data.quarantine.queue import RowFilter

        params = context["params"]
        first = _parse_day(params.get("first"))
        last = _parse_day(params.get("last"))
        if last and not first:
            raise DataError(f"{self.dataset}: give `first`, too: the first selected day.")
        return RowFilter(first, last, tuple(params.get("rows") or ()), params.get("reason") or "")

    def review_action(self, context: Context) -> ReviewAction:
        """Return who decides in which run, and the comment."""
        from include.data.quarantine.queue import ReviewAction

        comment = context["params"].get("comment") or ""
        return ReviewAction(run_context.actor(context), run_context.dag_run_key(context), comment)

    def skip_unless(self, action: str) -> None:
        """Raise AirflowSkipException if the run has another action."""
        if self.action != action:
            raise AirflowSkipException(f"The run is to {self.action}, nothing is {PAST_TENSE[action]}.")


class ShowQuarantineOperator(QuarantineOperator):
    """
    Show the rejected rows that the parameters of the run select: a summary (`list`), or every row.

    The table is in the log and, in full, on the page of the link «Rejected rows»; the XCom is the number of
    rows. Values of personal columns are masked.

    Example::

        ShowQuarantineOperator(task_id="show", dataset="flights")

    :param dataset: a declared dataset
    :param action: `list` for a summary, otherwise every row is shown (templated)
    """

    def execute(self, context: Context) -> int:
        """Return the number of selected rows."""
        from include.data.quarantine import queue as quarantine
        from include.storage import html_tables, reports

        rows = quarantine.pending(self.quarantine, self.row_filter(context))
        if self.action == "list":
            shown = quarantine.pending_summary(rows)
        else:
            shown = quarantine.readable(rows, self.quarantine.personal)
        title = f"{self.dataset}: {len(rows):,} rejected rows are pending"
        self.log.info("%s\n%s", title, html_tables.format_table(shown))
        run = re.sub("[^A-Za-z0-9_-]", "_", run_context.dag_run_key(context))
        path = f"quarantine/{self.dataset}/{run}.html"
        note = "Release or discard them with the parameters of this DAG; `rows` takes the ids in `_row_id`."
        hook = LakeHook(self.lake_conn_id)
        reports.write_report(
            hook.uri, hook.storage_options, path, html_tables.render_table_page(title, note, shown)
        )
        self.evidence_url = report_url(path)
        return len(rows)


class ReleaseQuarantineOperator(QuarantineOperator):
    """
    Validate the selected rows by today's declaration, and merge those that pass into their partitions.

    A row that passes leaves the quarantine with an entry in the ledger, and the asset event of its partition
    starts the DAGs that depend on it. A row that does not pass stays, with its new reasons. The task fails if
    no row passes.

    Example::

        ReleaseQuarantineOperator(task_id="release", dataset="flights")

    :param dataset: a declared dataset
    :param action: the task is skipped unless this is `release` (templated)
    """

    def __init__(self, *, dataset: str, **kwargs: Any) -> None:
        super().__init__(dataset=dataset, outlets=outlets(dataset), **kwargs)

    def execute(self, context: Context) -> int:
        """Return the number of released rows."""
        from include.data.quarantine.release import release_rows

        self.skip_unless("release")
        result = release_rows(self.quarantine, self.row_filter(context), self.review_action(context))
        figures = {"released": result.released, "kept": dict(result.retained)}
        context["ti"].xcom_push("figures", figures)
        for row, reason in result.retained.items():
            self.log.warning("%s stays: %s", row, reason)
        if result.partitions:
            publish_asset_event(context, self.dataset, result.partitions, self.quarantine.lake)
            return result.released
        if not result.retained:
            raise AirflowSkipException("The parameters select no pending row.")
        reasons = "; ".join(sorted(set(result.retained.values()))[:3])
        raise QualityFailed(
            f"{self.dataset}: none of {len(result.retained):,} rows may be released: {reasons}. Correct the "
            "declaration if they are right, have the source corrected if not, or discard them."
        )


class DiscardQuarantineOperator(QuarantineOperator):
    """
    Remove the selected rows from the quarantine for good; the ledger records the parameter `comment`.

    Example::

        DiscardQuarantineOperator(task_id="discard", dataset="flights")

    :param dataset: a declared dataset
    :param action: the task is skipped unless this is `discard` (templated)
    """

    def execute(self, context: Context) -> int:
        """Return the number of discarded rows."""
        from include.data.quarantine import queue as quarantine

        self.skip_unless("discard")
        return quarantine.discard_rows(self.quarantine, self.row_filter(context), self.review_action(context))


def _parse_day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None
