"""`airworthy privacy`: erase a person's data, and show which columns are personal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from typer import Argument, Typer

from include.cli.governance.removal import Reason, Yes
from include.cli.options import AsJson
from include.cli.output import print_json, print_table, print_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.declarations import Dataset, FeatureView
    from include.governance.erasure import ErasurePlan

MAX_SHOWN = 20

app = Typer(help="Show personal columns, and erase the data of a person.", no_args_is_help=True)


@app.command()
def columns(*, as_json: AsJson = False) -> None:
    """
    List the columns that are declared personal, with the dataset or view that has them.

    [bold]Example[/bold]
      airworthy privacy columns
    """
    from include.catalog import catalog

    declared = catalog()
    tables: list[Dataset | FeatureView] = [*declared.datasets.values(), *declared.feature_views.values()]
    rows: list[dict[str, str]] = []
    for table in tables:
        personal = [column for column in table.columns if column.personal]
        rows += [
            {"table": table.name, "column": column.name, "description": column.description}
            for column in personal
        ]
    if as_json:
        print_json(rows)
    else:
        print_table("personal columns", ("table", "column", "description"), [row.values() for row in rows])


@app.command()
def erase(
    column: Annotated[str, Argument(metavar="COLUMN", help="The column that names the entity.")],
    value: Annotated[str, Argument(metavar="VALUE", help="Its value, as text.")],
    reason: Reason,
    *,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """
    Erase an entity from all tables of the lake, their old versions, the online store and the inference log.

    Without --yes, it shows what would be erased, which snapshots could not be read any more, which model
    versions were trained on them, and which landed files still contain the value. The ledger keeps the reason
    and a pseudonym of the value. It also says what is not erased.

    [bold]Examples[/bold]
      airworthy privacy erase customer_id 4711 --reason "request of 2026-05-03"
      airworthy privacy erase customer_id 4711 --reason "request of 2026-05-03" --yes
    """
    from include.catalog import catalog
    from include.cli.champion import connect_to_database
    from include.cli.governance.reading import open_lake
    from include.cli.governance.removal import acting_user
    from include.data.lake.erasure import Entity
    from include.data.sources.files import Landing
    from include.governance.erasure import EntityStores, erase_entity, plan_erasure
    from include.modeling.registry.registry import Registry
    from include.settings import settings

    stores = EntityStores(
        catalog(),
        open_lake(),
        connect_to_database(),
        settings().pseudonym_key,
        Registry(settings().mlflow_uri),
        Landing(settings().landing_uri),
    )
    entity = Entity(column, value)
    plan = plan_erasure(stores, entity)
    online = erase_entity(stores, entity, plan, actor=acting_user(), reason=reason) if yes else []
    if as_json:
        print_json({"done": yes, "plan": plan, "online": online})
        return
    print_text(describe_erasure(plan, done=yes))


def describe_erasure(plan: ErasurePlan, *, done: bool) -> str:
    """Return what is erased as text."""
    verb = "was erased" if done else "would be erased"
    lines = [f"An entity of {plan.column} ({plan.digest}) {verb}:"]
    for table in plan.tables:
        counts = f"{table.rows:,} rows in {len(table.partitions):,} partitions"
        lines.append(f"  {table.table}: {counts}, {len(table.files):,} files of all versions")
    lines += [f"  online features of {view}" for view in plan.online]
    lines.append(f"  {plan.requests:,} requests in the inference log")
    if plan.staged:
        lines.append(f"  {len(plan.staged)} staged frames; clear the first task of their runs")
    lines += _listed(f"snapshots {'cannot' if done else 'could not'} be read any more", plan.snapshots)
    if plan.models is None:
        lines.append("Models that were trained on these snapshots are not known: MLflow does not answer.")
    else:
        lines += _listed("model versions were trained on these snapshots, and are not changed", plan.models)
    lines += _listed("landed files contain the value, and are not changed", plan.landed)
    lines.append("Not erased:")
    lines += [f"  - {store}" for store in plan.untouched]
    if not done:
        lines.append("Nothing was changed. Repeat with --yes to erase it.")
    return "\n".join(lines)


def _listed(title: str, names: Sequence[str]) -> list[str]:
    """Return a heading with the number of names, and the first of them; nothing without names."""
    if not names:
        return []
    lines = [f"{len(names):,} {title}:", *(f"  {name}" for name in names[:MAX_SHOWN])]
    return [*lines, f"  and {len(names) - MAX_SHOWN:,} more (--json)"] if len(names) > MAX_SHOWN else lines
