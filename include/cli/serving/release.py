"""`airworthy release`: what a person can do to the rollout of a model."""

from __future__ import annotations

from typing import Annotated

from typer import Option, Typer

from include.cli.governance.removal import acting_user
from include.cli.options import AnyModel, AsJson
from include.cli.output import print_json, print_text

Reason = Annotated[str, Option(metavar="TEXT", help="Why, for the ledger.")]
release_app = Typer(help="End the rollout of a model whose run is gone.", no_args_is_help=True)


@release_app.command("unlock")
def unlock_release(model: AnyModel, reason: Reason, *, as_json: AsJson = False) -> None:
    """
    End a rollout, whoever owns it, so that another one can begin; the champion gets all traffic.

    A rollout without a step for 24 hours ends by itself when another one begins.

    Exit code 1: there is no rollout.

    [bold]Example[/bold]
      airworthy release unlock flight_delay --reason "its DAG run was deleted"
    """
    from include.cli.champion import connect_to_database
    from include.release import leases

    before = leases.unlock(connect_to_database(), model, actor=acting_user(), reason=reason)
    if as_json:
        print_json({"use_case": model, "version": before.challenger, "owner": before.owner})
    else:
        print_text(
            f"The rollout of version {before.challenger} of {model} by {before.owner} has ended; "
            f"version {before.champion} gets all traffic."
        )
