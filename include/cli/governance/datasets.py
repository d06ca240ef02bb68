"""`airworthy datasets`: find and show datasets."""

from __future__ import annotations

from typing import Annotated

from typer import Argument, Context, Typer

from include.cli.governance.removal import Delete, Force, Reason, Yes
from include.cli.options import AsJson, DatasetName

Query = Annotated[str, Argument(metavar="TEXT", help="Words, in any case.")]

app = Typer(help="List, show and search datasets.", invoke_without_command=True)


@app.callback()
def datasets(context: Context, *, as_json: AsJson = False) -> None:
    """List, show and search datasets; without a command, list them."""
    if context.invoked_subcommand is None:
        list_datasets(as_json=as_json)


@app.command("list")
def list_datasets(*, as_json: AsJson = False) -> None:
    """
    List the declared datasets with owner, tags, freshness and users.

    [bold]Example[/bold]
      airworthy datasets list
    """
    from include.catalog import catalog
    from include.cli.governance.reading import open_lake
    from include.cli.governance.tables import print_list
    from include.governance.inventory import dataset_entry

    lake = open_lake()
    entries = [dataset_entry(catalog(), lake, name) for name in catalog().datasets]
    print_list("datasets", entries, as_json=as_json)


@app.command("show")
def show_dataset(dataset: DatasetName, *, as_json: AsJson = False) -> None:
    """
    Show a dataset: its columns with their share of nulls, its freshness, and what reads it.

    The shares are those of the newest 28 partitions.

    [bold]Examples[/bold]
      airworthy datasets show flights
      airworthy datasets show weather --json
    """
    from include.catalog import catalog
    from include.cli.governance.reading import open_lake, profile_address
    from include.cli.governance.tables import print_entry
    from include.governance.inventory import dataset_entry

    entry = dataset_entry(catalog(), open_lake(), dataset)
    print_entry(entry, profile_address(dataset), as_json=as_json)


@app.command("search")
def search_datasets(text: Query, *, as_json: AsJson = False) -> None:
    """
    Find datasets by words in their name, description, owner, tags and columns.

    [bold]Example[/bold]
      airworthy datasets search delay
    """
    from include.catalog import catalog
    from include.cli.governance.tables import print_matches
    from include.governance.search import search_declarations

    print_matches("datasets", search_declarations(catalog().datasets.values(), text), as_json=as_json)


@app.command("profile")
def profile_dataset(dataset: DatasetName, *, as_json: AsJson = False) -> None:
    """
    Write the profile page: distributions and nulls over time, correlation with the label.

    It is made from a sample of at most 50,000 rows; the page says of how many. The DAG `maintenance` makes it
    each night.

    [bold]Example[/bold]
      airworthy datasets profile flights
    """
    from include.cli.governance.reading import make_profile

    make_profile(dataset, as_json=as_json)


@app.command("drop")
def drop_dataset(
    name: Annotated[str, Argument(metavar="NAME", help="A dataset, whether it is declared or not.")],
    reason: Reason,
    *,
    delete: Delete = False,
    force: Force = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """
    Move the table of a dataset and its quarantine to the archive of the lake, or delete them.

    Without --yes, it shows what would be removed, and what depends on it. Afterwards, a dataset of the same
    name may be published with other types. Exit code 1: something depends on it, or there is no such table.

    [bold]Examples[/bold]
      airworthy datasets drop planes --reason "a wrong type"
      airworthy datasets drop planes --reason "a wrong type" --yes --force
    """
    from include.cli.governance.removal import authorisation, drop_table

    allowed = authorisation(reason, delete=delete, force=force)
    drop_table("dataset", name, allowed, yes=yes, as_json=as_json)
