"""`airworthy tokens`: who may call the models behind the gateway."""

from __future__ import annotations

from typing import Annotated

from typer import Argument, Option, Typer

from include.cli.governance.removal import acting_user
from include.cli.options import AsJson
from include.cli.output import print_json, print_table, print_text

COLUMNS = ("token", "caller", "scopes", "rate", "created", "revoked")

app = Typer(help="Issue, list and revoke tokens of callers.", no_args_is_help=True)


@app.command("create")
def create_token(
    caller: Annotated[str, Argument(metavar="CALLER", help="Who calls, such as booking-site.")],
    models: Annotated[
        list[str] | None,
        Option("--model", metavar="MODEL", help="A model that it may call; repeatable."),
    ] = None,
    rate: Annotated[int, Option(min=0, help="Requests per second; 0 is no limit.")] = 0,
    *,
    all_models: Annotated[bool, Option("--all-models", help="It may call every model.")] = False,
    history: Annotated[bool, Option("--history", help="It may read who made a champion, and why.")] = False,
    metrics: Annotated[bool, Option("--metrics", help="It may read the metrics.")] = False,
    as_json: AsJson = False,
) -> None:
    """
    Print a new token of a caller; it is stored as a digest, and cannot be shown again.

    To rotate a token, create another one, hand it out, and revoke the old one. Nothing is restarted.

    [bold]Examples[/bold]
      airworthy tokens create booking-site --model flight_delay --rate 50
      airworthy tokens create prometheus --metrics
    """
    from include.cli.champion import connect_to_database
    from include.serving.gateway import callers

    chosen = {callers.ALL_MODELS: all_models, callers.HISTORY: history, callers.METRICS: metrics}
    scopes = [*(models or ()), *(scope for scope, is_chosen in chosen.items() if is_chosen)]
    with connect_to_database().begin() as connection:
        token = callers.issue_token(connection, caller, scopes, rate=rate, actor=acting_user())
    if as_json:
        print_json({"caller": caller, "scopes": scopes, "rate": rate, "token": token})
    else:
        print_text(token)


@app.command("list")
def show_tokens(*, as_json: AsJson = False) -> None:
    """
    List the tokens, without the tokens themselves.

    [bold]Example[/bold]
      airworthy tokens list
    """
    from include.cli.champion import connect_to_database
    from include.serving.gateway.callers import list_tokens

    with connect_to_database().connect() as connection:
        tokens = list_tokens(connection)
    rows = [
        (token.name, token.caller, ", ".join(token.scopes), token.rate, token.created_at, token.revoked_at)
        for token in tokens
    ]
    if as_json:
        print_json([dict(zip(COLUMNS, row, strict=True)) for row in rows])
    else:
        print_table("tokens", COLUMNS, rows)


@app.command("revoke")
def revoke_token(
    name: Annotated[str, Argument(metavar="NAME", help="A token as listed, or a caller.")],
) -> None:
    """
    Revoke a token, or all tokens of a caller; the gateway refuses them within a second.

    [bold]Examples[/bold]
      airworthy tokens revoke 4f1c0a9be2d7
      airworthy tokens revoke booking-site
    """
    from include.cli.champion import connect_to_database
    from include.serving.gateway.callers import revoke_tokens

    with connect_to_database().begin() as connection:
        count = revoke_tokens(connection, name, actor=acting_user())
    print_text(f"{count} {'token' if count == 1 else 'tokens'} revoked.")
