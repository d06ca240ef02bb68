"""Page of a profile: computed from a sample, drawn by Matplotlib, and written to the lake's reports."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from include.data.lake.table_statistics import table_statistics
from include.governance import usage
from include.governance.freshness import read_freshness
from include.governance.profile.charts import draw_column
from include.governance.profile.column_profiles import label_correlations, profile_columns
from include.governance.profile.paths import profile_path
from include.governance.profile.sample import read_sample
from include.storage import reports

if TYPE_CHECKING:
    from jinja2 import Template

    from include.catalog import Catalog
    from include.data.lake.delta_tables import Lake


def write_profile(declared: Catalog, lake: Lake, name: str, *, now: datetime | None = None) -> str:
    """
    Write the profile of a declared dataset or feature view, and return its path below the reports.

    Raises
    ------
    DeclarationError
        If nothing of that name is declared.
    PartitionMissing
        If its table has no rows.
    """
    table = declared.declaration(name)
    sample = read_sample(lake, name, table.columns)
    profiles = profile_columns(table.columns, sample, label_correlations(declared, lake, table, sample))
    columns = [
        {"profile": profile, "chart": draw_column(profile), "use_cases": sorted(profile.correlations)}
        for profile in profiles
    ]
    freshness = read_freshness(declared, lake, name, table_statistics(lake, name), now=now)
    page = _profile_template().render(
        table=table,
        note=sample.describe(),
        first=str(sample.names.min()),
        last=str(sample.names.max()),
        columns=columns,
        freshness=freshness.describe(),
        use_cases=_users(declared, name),
        at=f"{now or datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    )
    reports.write_report(lake.uri, lake.storage_options, profile_path(name), page)
    return profile_path(name)


def _users(declared: Catalog, name: str) -> list[str]:
    if name in declared.feature_views:
        return usage.use_cases_of_view(declared, name)
    return [*usage.views_of_dataset(declared, name), *usage.use_cases_of_dataset(declared, name)]


def _profile_template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("profile.html.jinja")
