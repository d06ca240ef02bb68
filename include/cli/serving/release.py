"""`airworthy switch` and `airworthy release`: what a person can do to a served model at any time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

from typer import BadParameter, Exit, Option, Typer

from include.cli.governance.removal import acting_user
from include.cli.options import AnyModel, AsJson
from include.cli.output import print_json, print_text

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from include.declarations import Fallback

LIVE_TIMEOUT_S = 10.0
POLL_INTERVAL_S = 0.1
NOT_LIVE = 1

Reason = Annotated[str, Option(metavar="TEXT", help="Why, for the ledger and for callers.")]
switch_app = Typer(
    help="Switch a model off, with a fallback for its callers, and on again.", no_args_is_help=True
)
release_app = Typer(help="Freeze the releases of a model, or steer its rollout.", no_args_is_help=True)


@switch_app.command("off")
def off(
    model: AnyModel,
    reason: Reason,
    fallback: Annotated[
        str,
        Option(
            metavar="KIND",
            help="unavailable, constant:VALUE, baseline or previous; default: as declared.",
        ),
    ] = "",
    *,
    as_json: AsJson = False,
) -> None:
    """
    Give callers a fallback instead of the champion, and end any rollout; releases wait until it is on again.

    Exit code 1: the controller has not carried it out within 10 s. It does so as soon as it runs.

    [bold]Examples[/bold]
      airworthy switch off flight_delay --reason "predicts nonsense since noon"
      airworthy switch off flight_delay --fallback constant:0.2 --reason "…"
    """
    from include.cli.champion import connect_to_database
    from include.release import controls

    engine = connect_to_database()
    chosen = _choose_fallback(model, fallback)
    controls.switch_off(engine, model, chosen, actor=acting_user(), reason=reason)
    _show(engine, model, f"{model} is switched off; its callers get {chosen}", as_json=as_json)


@switch_app.command("on")
def on(model: AnyModel, reason: Reason, *, as_json: AsJson = False) -> None:
    """
    Let the champion answer again.

    [bold]Example[/bold]
      airworthy switch on flight_delay --reason "the weather feed is mended"
    """
    from include.cli.champion import connect_to_database
    from include.release import controls

    engine = connect_to_database()
    controls.switch_on(engine, model, actor=acting_user(), reason=reason)
    _show(engine, model, f"{model} is switched on", as_json=as_json)


@release_app.command("freeze")
def freeze_model(model: AnyModel, reason: Reason) -> None:
    """
    Forbid rollouts and promotions until `lift`; a rollout in progress ends at its next step.

    [bold]Example[/bold]
      airworthy release freeze flight_delay --reason "holiday traffic"
    """
    from include.cli.champion import connect_to_database
    from include.release import controls

    frozen = controls.freeze(connect_to_database(), model, actor=acting_user(), reason=reason)
    print_text(f"Releases of {model} are frozen{'' if frozen else ' already'}.")


@release_app.command("lift")
def lift_freeze(model: AnyModel, reason: Reason) -> None:
    """
    Allow rollouts again, after a freeze by a person, a burnt error budget or repeated rollbacks.

    [bold]Example[/bold]
      airworthy release lift flight_delay --reason "the cause is known and mended"
    """
    from include.cli.champion import connect_to_database
    from include.release import controls

    controls.lift(connect_to_database(), model, actor=acting_user(), reason=reason)
    print_text(f"{model} can be released again.")


@release_app.command("pause")
def pause_rollout(model: AnyModel, reason: Reason) -> None:
    """
    Keep a rollout at its step until `resume`; a challenger that fails is rolled back nevertheless.

    [bold]Example[/bold]
      airworthy release pause flight_delay --reason "let it run over lunch"
    """
    _steer(model, "pause", reason, "The rollout stays at its step.")


@release_app.command("resume")
def resume_rollout(model: AnyModel, reason: Reason) -> None:
    """
    Let a paused rollout go on.

    [bold]Example[/bold]
      airworthy release resume flight_delay --reason "the figures are good"
    """
    _steer(model, "resume", reason, "The rollout goes on.")


@release_app.command("skip")
def skip(model: AnyModel, reason: Reason) -> None:
    """
    Declare the present step of a rollout passed, whatever its figures are.

    [bold]Example[/bold]
      airworthy release skip flight_delay --reason "no traffic at night"
    """
    _steer(model, "skip", reason, "The step counts as passed.")


@release_app.command("abort")
def abort_rollout(model: AnyModel, reason: Reason, *, as_json: AsJson = False) -> None:
    """
    Give the champion all traffic and end the rollout.

    Exit code 1: the controller has not carried it out within 10 s. It does so as soon as it runs.

    [bold]Example[/bold]
      airworthy release abort flight_delay --reason "wrong version"
    """
    from include.cli.champion import connect_to_database

    _steer(model, "abort", reason, "")
    _show(connect_to_database(), model, f"the champion of {model} has all traffic", as_json=as_json)


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


def _steer(model: str, action: str, reason: str, text: str) -> None:
    from include.cli.champion import connect_to_database
    from include.release import controls

    controls.ACTIONS[action](connect_to_database(), model, actor=acting_user(), reason=reason)
    if text:
        print_text(text)


def _choose_fallback(model: str, text: str) -> Fallback:
    """Return the fallback that was asked for, else the declared one."""
    from include.catalog import catalog
    from include.declarations import Fallback

    declared = catalog().use_cases.get(model)
    if not text:
        return declared.serving.fallback if declared else Fallback()
    try:
        chosen = Fallback.parse(text)
        if declared is not None:
            declared.check_fallback(chosen)
    except ValueError as error:
        raise BadParameter(
            f"{text!r} is no fallback: {error}. Write unavailable, constant:0.2, baseline or previous."
        ) from error
    return chosen


def _show(engine: Engine, model: str, text: str, *, as_json: bool) -> None:
    """Wait until the controller has carried out a change, and print what came of it."""
    from include.release.rollout import read_state
    from include.stack.polling import wait_for_value

    began = time.monotonic()
    live = wait_for_value(lambda: _is_live(engine, model), timeout=LIVE_TIMEOUT_S, interval=POLL_INTERVAL_S)
    seconds = round(time.monotonic() - began, 2)
    with engine.connect() as connection:
        fallback = read_state(connection, model).fallback
    if as_json:
        print_json({"use_case": model, "fallback": fallback, "live": bool(live), "seconds": seconds})
    elif live:
        print_text(f"{text} ({seconds:.1f} s).")
    else:
        print_text(f"{text} once the controller has carried it out; it has not yet. See `make status`.")
    if not live:
        raise Exit(NOT_LIVE)


def _is_live(engine: Engine, model: str) -> bool | None:
    from include.release.rollout import is_live

    with engine.connect() as connection:
        return is_live(connection, model) or None
