"""Texts of catalogue entries: lists, single entries and matches of a search."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.cli.output import print_json, print_table, print_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from include.governance.inventory import ColumnEntry, FeatureUse, ModelEntry, TableEntry

LIST_COLUMNS = ("name", "owner", "tags", "newest", "due (UTC)", "late", "rows", "read by")
COLUMN_COLUMNS = ("column", "type", "nulls", "personal", "description")
FEATURE_COLUMNS = (*COLUMN_COLUMNS, "models (importance, drift)")
UNKNOWN = "unknown"


def print_list(title: str, entries: Sequence[TableEntry], *, as_json: bool) -> None:
    """Print one line for each dataset or view."""
    if as_json:
        print_json([list_record(entry) for entry in entries])
        return
    print_table(title, LIST_COLUMNS, [_list_row(entry) for entry in entries])


def list_record(entry: TableEntry) -> dict[str, Any]:
    """Return what the list shows of a dataset or view as JSON types with stable keys."""
    return {
        "name": entry.name,
        "owner": entry.owner,
        "description": entry.description,
        "tags": entry.tags,
        "granularity": entry.granularity,
        "freshness": entry.freshness,
        "feature_views": entry.feature_views,
        "use_cases": entry.use_cases,
    }


def print_entry(entry: TableEntry, profile: str | None, *, as_json: bool) -> None:
    """Print a dataset or view with its columns; `profile` is the address of its profile page."""
    from dataclasses import asdict

    if as_json:
        print_json(asdict(entry) | {"profile": profile})
        return
    print_text(f"{entry.name}: {entry.description}")
    print_text(f"  owner      {entry.owner}")
    print_text(f"  tags       {_names(entry.tags)}")
    print_text(f"  key        {_names(entry.key)}")
    print_text(f"  source     {_names(entry.sources)}")
    print_text(f"  freshness  {entry.freshness.describe()}")
    if entry.feature_views:
        print_text(f"  views      {_names(entry.feature_views)}")
    if entry.labels:
        print_text(f"  label of   {_names(entry.labels)}")
    print_text(f"  read by    {_names(entry.use_cases)}")
    print_text(f"  profile    {profile or 'none yet: run the command `profile`'}")
    has_models = any(column.models for column in entry.columns)
    columns = FEATURE_COLUMNS if has_models else COLUMN_COLUMNS
    rows = [_column_row(column, with_models=has_models) for column in entry.columns]
    print_table("", columns, rows)


def print_model(entry: ModelEntry, *, as_json: bool) -> None:
    """Print a model with its versions and features."""
    if as_json:
        print_json(entry)
        return
    facts = entry.facts
    description = (
        entry.description or "its declaration was deleted; `airworthy models retire` ends its service"
    )
    print_text(f"{entry.name}: {description}")
    if entry.declared:
        print_text(f"  owner      {entry.owner}")
        print_text(f"  tags       {_names(entry.tags)}")
        print_text(f"  task       {entry.task}, label {entry.label}")
        print_text(f"  views      {_names(entry.feature_views)}")
    print_text(f"  champion   {_or_none(facts.champion)}, challenger {_or_none(facts.challenger)}")
    when = "" if facts.monitored_at is None else f" ({facts.monitored_at:%Y-%m-%d %H:%M})"
    print_text(f"  drift      {facts.drift or 'not measured yet'}{when}")
    of_version = "" if facts.version is None else f" of version {facts.version}"
    columns = ("feature", f"importance{of_version}", "drifted")
    print_table("", columns, [_feature_row(feature) for feature in entry.features])


def print_matches(kind: str, matches: Iterable[Any], *, as_json: bool) -> None:
    """Print the matches of a search."""
    matches = list(matches)
    if as_json:
        print_json(matches)
        return
    print_table(kind, ("name", "in", "text"), [(match.name, match.field, match.text) for match in matches])


def _list_row(entry: TableEntry) -> list[object]:
    freshness = entry.freshness
    due = None if freshness.due_at is None else f"{freshness.due_at:%Y-%m-%d %H:%M}"
    readers = _names((*entry.feature_views, *entry.use_cases))
    rows = f"{freshness.rows:,}"
    return [
        entry.name, entry.owner, _names(entry.tags), freshness.newest, due, freshness.lateness, rows, readers,
    ]  # fmt: skip


def _column_row(column: ColumnEntry, *, with_models: bool) -> list[object]:
    nulls = UNKNOWN if column.null_share is None else f"{column.null_share:.2%}"
    mark = "personal" if column.personal else ""
    row: list[object] = [column.name, column.dtype, nulls, mark, column.description]
    return [*row, "; ".join(map(_describe_use, column.models))] if with_models else row


def _describe_use(use: FeatureUse) -> str:
    importance = UNKNOWN if use.importance is None else f"{use.importance:+.4g}"
    return f"{use.model} ({importance}, {_describe_drift(use)})"


def _feature_row(feature: FeatureUse) -> list[object]:
    importance = UNKNOWN if feature.importance is None else f"{feature.importance:+.4g}"
    return [feature.feature, importance, _describe_drift(feature)]


def _describe_drift(use: FeatureUse) -> str:
    if use.drifted is None:
        return UNKNOWN
    return "drift" if use.drifted else "no drift"


def _names(names: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(names)) or "none"


def _or_none(value: object) -> object:
    return "none" if value is None else value
