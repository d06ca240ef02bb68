"""`airworthy privacy`: erase a person's data, and show which columns are personal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from typer import Argument, Typer

from include.cli.governance.removal import Reason, Yes
from include.cli.options import AsJson
from include.cli.output import print_json, print_table, print_text

if TYPE_CHECKING:
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

    Without --yes, it shows what would be erased, and which snapshots could not be read any more. The ledger
    keeps the reason and a pseudonym of the value. It also lists what is not touched, such as landed files.

    [bold]Examples[/bold]
      airworthy privacy erase customer_id 4711 --reason "request of 2026-05-03"
      airworthy privacy erase customer_id 4711 --reason "request of 2026-05-03" --yes
    """
    from include.catalog import catalog
    from include.cli.champion import connect_to_database
    from include.cli.governance.reading import open_lake
    from include.cli.governance.removal import acting_user
    from include.data.lake.erasure import Entity
    from include.governance.erasure import EntityStores, erase_entity, plan_erasure
    from include.settings import settings

    engine = connect_to_database()
    stores = EntityStores(catalog(), open_lake(), engine, settings().pseudonym_key)
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
    if plan.snapshots:
        verb = "cannot" if done else "could not"
        lines.append(f"{len(plan.snapshots)} snapshots {verb} be read any more:")
        lines += [f"  {snapshot}" for snapshot in plan.snapshots[:MAX_SHOWN]]
    lines.append("Not touched:")
    lines += [f"  - {store}" for store in plan.untouched]
    if not done:
        lines.append("Nothing was changed. Repeat with --yes to erase it.")
    return "\n".join(lines)
