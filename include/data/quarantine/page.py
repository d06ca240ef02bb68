"""The page of the rejected rows of some partitions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include import partitions
from include.data.quarantine.queue import RowFilter, pending, readable
from include.storage import html_tables, reports

if TYPE_CHECKING:
    from include.data.quarantine.queue import Quarantine
    from include.partitions import Partition


def write_rejected_page(queue: Quarantine, days: list[Partition]) -> str:
    """
    Write the page of the pending rows of some partitions, and return its path among the reports.

    Values of personal columns are masked.
    """
    first = partitions.day_of(days[0])
    last = partitions.day_of(days[-1])
    rows = pending(queue, RowFilter(first, last))
    shown = readable(rows, queue.personal)
    key = partitions.format_key(days)
    path = f"quarantine/{queue.name}/{key}.html"
    title = f"{queue.name} {key}: {len(rows):,} rejected rows are pending"
    note = f"Release or discard them with the DAG {queue.name}_quarantine; `rows` takes the ids in `_row_id`."
    page = html_tables.render_table_page(title, note, shown)
    reports.write_report(queue.lake.uri, queue.lake.storage_options, path, page)
    return path
