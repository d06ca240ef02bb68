"""A table or query checked where it lies: the database counts, and hands over three examples."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from include.data.validation import expectations as gate
from include.data.validation.results import EXAMPLES
from include.data.validation.suites import missing_columns, to_validation_result
from include.errors import DataError, ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import URL

    from include.data.validation.batch_filter import Batch
    from include.data.validation.results import ValidationResult
    from include.data.validation.suites import Suite

# PostgreSQL's numbers of its types, as far as a declaration knows them.
TYPES = {
    16: "boolean", 20: "integer", 21: "integer", 23: "integer", 25: "string", 1042: "string", 1043: "string",
    700: "number", 701: "number", 1700: "number", 1184: "timestamp",
    1114: "timestamp without time zone", 1082: "date", 114: "json", 3802: "json", 2950: "uuid", 1083: "time",
}  # fmt: skip
# Great Expectations compiles a query's text more than once: `%` would double, and `:x` become a parameter.
_LITERAL = re.compile(r"(?<![\w&])'((?:[^']|'')*)'")


def validate_query(url: URL, query: str, suite: Suite, *, part: Batch, time: str | None) -> ValidationResult:
    """
    Return what the rows of `query` keep, in PostgreSQL.

    :raises DataError: if the query is none, or lacks a column that `part` names
    :raises ServiceUnavailable: if the database is away
    """
    inner = query.strip().rstrip(";")
    names = _columns(url, inner)
    part.refuse_unknown(list(names), time)
    condition = part.condition(time)
    whole = _around(inner, f"WHERE {condition}" if condition else "")
    known = missing_columns(suite.columns, names)
    wrong = {outcome.expectation_config.kwargs["column"] for _, outcome in known if not outcome.success}
    derived, own = suite.declared_checks_without(wrong), suite.user_checks()
    source = gate.context().data_sources.add_postgres(
        "database",
        connection_string=url.render_as_string(hide_password=False),
        create_temp_table=False,
    )
    asset = source.add_query_asset("rows", query=_plain(whole))
    batch = asset.add_batch_definition_whole_table("all").get_batch()
    shown = {"result_format": "BASIC", "partial_unexpected_count": EXAMPLES}
    with _never_whole(_plain(whole)):
        results = gate.run_on_batch(batch, derived + own, shown)
    rows = int(results[0].result.get("observed_value") or 0)
    return to_validation_result(rows, known, list(zip(derived + own, results, strict=True)), own)


def query_of_table(table: str) -> str:
    """Return the query of all rows of `table`, or `schema.table`."""
    name = ".".join('"' + part.replace('"', '""') + '"' for part in table.split("."))
    return f"SELECT * FROM {name}"  # noqa: S608  an identifier, quoted


@contextmanager
def _never_whole(query: str) -> Iterator[None]:
    """Fetch no row of `query` itself, which Great Expectations runs to learn the names of its columns."""

    def without_rows(*call: Any) -> tuple[str, Any]:
        statement, parameters = call[2], call[3]
        return (f"{statement} LIMIT 0" if statement.strip() == query.strip() else statement), parameters

    event.listen(Engine, "before_cursor_execute", without_rows, retval=True)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", without_rows)


def _plain(query: str) -> str:
    """Return the same query without `%` and `:` in its texts: they are written as their numbers."""

    def written(found: re.Match[str]) -> str:
        inside = found[1]
        if "%" not in inside and ":" not in inside:
            return found[0]
        coded = inside.replace("\\", "\\\\").replace("%", "\\0025").replace(":", "\\003A")
        return f"U&'{coded}'"

    return _LITERAL.sub(written, query)


def _around(query: str, rest: str) -> str:
    return f"SELECT * FROM ({query}) AS source {rest}"  # noqa: S608  the user's own query; values are quoted


def _columns(url: URL, query: str) -> dict[str, str | None]:
    """Return the columns of a query and what they are called in a declaration; None for an unknown type."""
    engine = create_engine(url, hide_parameters=True)
    try:
        with engine.connect() as connection:
            cursor = connection.execute(text(_plain(_around(query, "LIMIT 0")))).cursor
            found: list[Any] = list(cursor.description or ()) if cursor else []
            return {one.name: TYPES.get(one.type_code) for one in found}
    except OperationalError as error:
        raise ServiceUnavailable(f"{url.host}:{url.port}/{url.database} is away: {error.orig}") from error
    except ProgrammingError as error:
        raise DataError(f"The query cannot be run: {error.orig}. Correct it; it is {query!r}.") from error
    finally:
        engine.dispose()
