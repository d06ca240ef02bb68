"""Arguments and options that several commands share, and how their texts are read."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated

from typer import Argument, BadParameter, Option

MODELS = "Models and data"
OPERATION = "Operation"


def parse_day(text: str) -> date:
    """
    Return the day that `text` names.

    Raises
    ------
    BadParameter
        If it is not written as YYYY-MM-DD.
    """
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise BadParameter(f"{text!r} is not a day. Write it as 2013-07-01.") from error


def parse_partition(text: str) -> date:
    """
    Return the day or the hour, as a moment in UTC, that `text` names.

    Raises
    ------
    BadParameter
        If it is not written as YYYY-MM-DD or YYYY-MM-DDTHH.
    """
    if "T" not in text:
        return parse_day(text)
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H").replace(tzinfo=UTC)
    except ValueError as error:
        raise BadParameter(f"{text!r} is no hour. Write it as 2013-07-01T05, in UTC.") from error


def parse_moment(text: str) -> datetime:
    """
    Return the moment that `text` names, with its time zone.

    Raises
    ------
    BadParameter
        If it is not written in ISO 8601, or has no time zone.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadParameter(f"{text!r} is not a moment. Write it as 2026-05-03T12:00:00Z.") from error
    if moment.tzinfo is None:
        raise BadParameter(f"{text!r} has no time zone. Write it as 2026-05-03T12:00:00Z.")
    return moment


def require_use_case(name: str) -> str:
    """
    Return `name`.

    Raises
    ------
    BadParameter
        If no use case of that name is declared.
    """
    from include.catalog import catalog

    return _require_declared(name, "use case", sorted(catalog().use_cases))


def require_dataset(name: str) -> str:
    """
    Return `name`.

    Raises
    ------
    BadParameter
        If no dataset of that name is declared.
    """
    from include.catalog import catalog

    return _require_declared(name, "dataset", sorted(catalog().datasets))


def _require_declared(name: str, kind: str, declared: list[str]) -> str:
    if name not in declared:
        raise BadParameter(f"No {kind} {name!r} is declared. Choose among {', '.join(declared)}.")
    return name


AsJson = Annotated[bool, Option("--json", help="Print JSON with stable keys instead of text.")]
Model = Annotated[
    str,
    Argument(metavar="MODEL", help="A declared use case, such as flight_delay.", callback=require_use_case),
]
AnyModel = Annotated[
    str, Argument(metavar="MODEL", help="A use case that is declared, or that was deployed.")
]
DatasetName = Annotated[
    str, Argument(metavar="DATASET", help="A declared dataset, such as flights.", callback=require_dataset)
]
