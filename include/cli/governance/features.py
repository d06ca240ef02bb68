"""`airworthy features`: find and show feature views and their features."""

from __future__ import annotations

from typing import Annotated

from typer import Argument, BadParameter, Context, Typer

from include.cli.governance.removal import Delete, Force, Reason, Yes
from include.cli.options import AsJson

app = Typer(help="List, show and search feature views and their features.", invoke_without_command=True)


def require_view(name: str) -> str:
    """
    Return `name`.

    Raises
    ------
    BadParameter
        If no feature view of that name is declared.
    """
    from include.catalog import catalog

    declared = sorted(catalog().feature_views)
    if name not in declared:
        raise BadParameter(f"No feature view {name!r} is declared. Choose among {', '.join(declared)}.")
    return name


ViewName = Annotated[
    str, Argument(metavar="VIEW", help="A declared view, such as flight_features.", callback=require_view)
]


@app.callback()
def features(context: Context, *, as_json: AsJson = False) -> None:
    """List, show and search feature views and their features; without a command, list them."""
    if context.invoked_subcommand is None:
        list_views(as_json=as_json)


@app.command("list")
def list_views(*, as_json: AsJson = False) -> None:
    """
    List the declared feature views with owner, tags, freshness and users.

    [bold]Example[/bold]
      airworthy features list
    """
    from include.catalog import catalog
    from include.cli.governance.reading import open_lake
    from include.cli.governance.tables import print_list
    from include.governance.inventory import view_entry

    lake = open_lake()
    entries = [view_entry(catalog(), lake, name) for name in catalog().feature_views]
    print_list("feature views", entries, as_json=as_json)


@app.command("show")
def show_view(view: ViewName, *, as_json: AsJson = False) -> None:
    """
    Show a feature view: of each feature the share of nulls, its models, its importance and its drift.

    The share is that of the newest 28 days. The importance is that of the model's champion, else of its
    newest version; the drift is that of its last monitoring run.

    [bold]Example[/bold]
      airworthy features show flight_features
    """
    from include.catalog import catalog
    from include.cli.governance.reading import open_lake, profile_address, read_facts
    from include.cli.governance.tables import print_entry
    from include.governance.inventory import view_entry
    from include.governance.usage import use_cases_of_view

    facts = read_facts(use_cases_of_view(catalog(), view))
    entry = view_entry(catalog(), open_lake(), view, facts)
    print_entry(entry, profile_address(view), as_json=as_json)


@app.command("search")
def search_features(
    text: Annotated[str, Argument(metavar="TEXT", help="Words, in any case.")], *, as_json: AsJson = False
) -> None:
    """
    Find features by words in the name, description, owner, tags and columns of their view.

    [bold]Example[/bold]
      airworthy features search wind
    """
    from include.catalog import catalog
    from include.cli.governance.tables import print_matches
    from include.governance.search import search_declarations

    matches = search_declarations(catalog().feature_views.values(), text)
    print_matches("feature views", matches, as_json=as_json)


@app.command("profile")
def profile_view(view: ViewName, *, as_json: AsJson = False) -> None:
    """
    Write the profile page: distributions and nulls over time, correlation with the label.

    It is made from a sample of at most 50,000 rows; the page says of how many. The DAG `maintenance` makes it
    each night.

    [bold]Example[/bold]
      airworthy features profile flight_features
    """
    from include.cli.governance.reading import make_profile

    make_profile(view, as_json=as_json)


@app.command("drop")
def drop_view(
    name: Annotated[str, Argument(metavar="NAME", help="A feature view, whether it is declared or not.")],
    reason: Reason,
    *,
    delete: Delete = False,
    force: Force = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """
    Move the table of a feature view to the archive of the lake, or delete it; delete its online features.

    Without --yes, it shows what would be removed, and what depends on it. Afterwards, a view of the same name
    may be published with other types. Exit code 1: something depends on it, or there is no such table.

    [bold]Examples[/bold]
      airworthy features drop plane_features --reason "a wrong type"
      airworthy features drop plane_features --reason "a wrong type" --yes --force
    """
    from include.cli.governance.removal import authorisation, drop_table

    allowed = authorisation(reason, delete=delete, force=force)
    drop_table("feature view", name, allowed, yes=yes, as_json=as_json)
