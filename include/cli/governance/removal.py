"""What `datasets drop`, `features drop`, `models drop` and `models retire` have in common."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from include.cli.output import print_json, print_text

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from include.governance.removal import (
        Authorisation,
        ModelRetirement,
        TableKind,
        TableRemoval,
    )

# Time for the controller to stop the model servers.
CONTROLLER_TIMEOUT_S = 60.0
POLL_INTERVAL_S = 0.5
MAX_SHOWN_SNAPSHOTS = 10

Reason = Annotated[str, Option(metavar="TEXT", help="Why, for the ledger.")]
Yes = Annotated[bool, Option("--yes", help="Do it. Without it, only what would be done is shown.")]
Delete = Annotated[bool, Option("--delete", help="Delete the tables instead of archiving them.")]
Force = Annotated[bool, Option("--force", help="Also if something still depends on it.")]


def acting_user() -> str:
    """Return who runs the command, as the ledger names it."""
    from getpass import getuser

    return f"cli:{getuser()}"


def authorisation(reason: str, *, delete: bool = False, force: bool = False) -> Authorisation:
    """Return the authorisation of a command."""
    from include.governance.removal import Authorisation

    return Authorisation(acting_user(), reason, delete=delete, force=force)


def drop_table(kind: TableKind, name: str, allowed: Authorisation, *, yes: bool, as_json: bool) -> None:
    """Show what dropping a table removes and what depends on it; with `yes`, drop it."""
    from include.catalog import catalog
    from include.cli.champion import connect_to_database
    from include.cli.governance.reading import open_lake
    from include.governance import removal

    engine = connect_to_database()
    lake = open_lake()
    with engine.connect() as connection:
        plan = removal.plan_table_removal(connection, lake, catalog(), kind, name)
    paths = removal.drop_tables(engine, lake, plan, allowed) if yes else {}
    if as_json:
        print_json({"done": yes, "plan": plan, "paths": paths})
        return
    if yes:
        print_text(describe_paths(paths))
    else:
        print_text(describe_table_plan(plan, allowed))


def stop_serving(
    name: str, allowed: Authorisation, *, yes: bool, with_predictions: bool, as_json: bool
) -> None:
    """Show what retiring a model stops and who needs it; with `yes`, retire it, and drop its predictions."""
    from include.catalog import catalog
    from include.cli.champion import connect_to_database
    from include.cli.governance.reading import open_lake
    from include.governance import removal
    from include.modeling.registry.registry import Registry
    from include.settings import settings

    engine = connect_to_database()
    registry = Registry(settings().mlflow_uri)
    with engine.connect() as connection:
        plan = removal.plan_retirement(connection, registry, open_lake(), catalog(), name)
    if not with_predictions:
        plan = replace(plan, predictions=None)
    is_live = False
    if yes:
        removal.retire_model(engine, registry, plan, allowed)
        is_live = _wait_for_controller(engine, name)
    paths = _drop_predictions(engine, plan.predictions, allowed) if yes and plan.predictions else {}
    if as_json:
        print_json({"done": yes, "plan": plan, "paths": paths, "live": is_live})
    elif yes:
        print_text(describe_retirement(plan, is_live=is_live, paths=paths))
    else:
        print_text(describe_retirement_plan(plan, allowed))


def describe_table_plan(plan: TableRemoval, allowed: Authorisation) -> str:
    """Return what would be dropped as text."""
    action = "deleted" if allowed.delete else "moved to _archive/"
    lines = [f"{', '.join(plan.tables)} would be {action}."]
    lines += _describe_dependents([str(dependent) for dependent in plan.dependents], allowed)
    if plan.snapshots:
        lines.append(f"{len(plan.snapshots)} snapshots could not be read any more:")
        lines += [f"  {snapshot}" for snapshot in plan.snapshots[:MAX_SHOWN_SNAPSHOTS]]
    if plan.declared:
        lines.append(f"{plan.name} is declared: its next run publishes it again, with the types of that day.")
    return "\n".join([*lines, _repeat()])


def describe_retirement_plan(plan: ModelRetirement, allowed: Authorisation) -> str:
    """Return what would be retired as text."""
    if plan.retired and not plan.predictions:
        return f"{plan.name} is retired already."
    champion = "no champion" if plan.champion is None else f"its champion, version {plan.champion}"
    lines = [
        f"{plan.name} would be retired: {champion}, would stop being served, and callers would get 410.",
        f"Its {plan.versions} versions stay in MLflow without the aliases champion, challenger, previous.",
    ]
    lines += _describe_dependents([str(dependent) for dependent in plan.dependents], allowed)
    if plan.predictions:
        action = "deleted" if allowed.delete else "moved to _archive/"
        lines.append(f"{plan.predictions} would be {action}.")
    if plan.declared:
        lines.append(f"include/use_cases/{plan.name}.py declares it: delete that file, too, to end its DAGs.")
    return "\n".join([*lines, _repeat()])


def describe_retirement(plan: ModelRetirement, *, is_live: bool, paths: dict[str, str]) -> str:
    """Return what was retired as text."""
    lines = [f"{plan.name} is retired: the gateway answers its callers with 410."]
    if not is_live:
        lines.append("The controller has not carried it out yet; its servers end when the controller runs.")
    if plan.declared:
        lines.append(f"include/use_cases/{plan.name}.py still declares it: delete that file to end its DAGs.")
    return "\n".join([*lines, describe_paths(paths)] if paths else lines)


def describe_paths(paths: dict[str, Any]) -> str:
    """Return where tables went as text."""
    lines = [f"{table}: archived in {path}" if path else f"{table}: deleted" for table, path in paths.items()]
    return "\n".join(lines)


def _drop_predictions(engine: Engine, table: str, allowed: Authorisation) -> dict[str, str]:
    from include.catalog import catalog
    from include.cli.governance.reading import open_lake
    from include.governance import removal

    lake = open_lake()
    with engine.connect() as connection:
        plan = removal.plan_table_removal(connection, lake, catalog(), "predictions", table)
    return removal.drop_tables(engine, lake, plan, allowed)


def _describe_dependents(dependents: list[str], allowed: Authorisation) -> list[str]:
    if not dependents:
        return ["Nothing depends on it."]
    lines = ["These depend on it:", *(f"  {dependent}" for dependent in dependents)]
    return lines if allowed.force else [*lines, "It is refused without --force."]


def _repeat() -> str:
    return "Nothing was changed. Repeat with --yes to do it."


def _wait_for_controller(engine: Engine, name: str) -> bool:
    """Return whether the controller has carried out the newest state; False without a controller."""
    from sqlalchemy import select

    from include.database.tables import live_state
    from include.release.rollout import is_live
    from include.stack.polling import wait_for_value

    def look() -> bool | None:
        with engine.connect() as connection:
            return is_live(connection, name) or None

    with engine.connect() as connection:
        query = select(live_state.c.use_case).where(live_state.c.use_case == name)
        if connection.scalar(query) is None:
            return False
    return bool(wait_for_value(look, timeout=CONTROLLER_TIMEOUT_S, interval=POLL_INTERVAL_S))
