"""Validation of a table or query in PostgreSQL: the database counts, and returns three examples."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from include.data.validation.checks.rows import missing_column_result
from include.data.validation.expectations import create_context, to_check_result, validate_gx_batch
from include.data.validation.masking import mask_results
from include.data.validation.results import MAX_EXAMPLES, CheckResult
from include.data.validation.suites import to_validation_result
from include.errors import DataError, ServiceUnavailable
from include.sql_tokens import single_statement, split_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy import URL

    from include.data.validation.batch_filter import BatchFilter
    from include.data.validation.expectations import ExpectationCheck
    from include.data.validation.results import ValidationResult
    from include.data.validation.suites import Suite
    from include.declarations import Column
    from include.sql_tokens import Token

# Names of PostgreSQL's type numbers (pg_type.oid); a declaration has the first five of the names.
TYPES = {
    16: "boolean", 20: "integer", 21: "integer", 23: "integer", 25: "string", 1042: "string", 1043: "string",
    700: "number", 701: "number", 1700: "number", 1184: "timestamp",
    1114: "timestamp without time zone", 1082: "date", 114: "json", 3802: "json", 2950: "uuid", 1083: "time",
}  # fmt: skip
# In a literal with escapes: a character after a backslash, or one that is not to remain.
_ESCAPED = re.compile(r"\\(.)|([%:])", re.DOTALL)


def validate_query(
    url: URL, query: str, suite: Suite, *, batch_filter: BatchFilter, time: str | None
) -> ValidationResult:
    """
    Validate the rows of `query` that `batch_filter` selects, in PostgreSQL.

    Raises
    ------
    DataError
        If the query cannot be run, or lacks a column of the filter.
    ServiceUnavailable
        If the database cannot be reached.
    """
    source_query = _without_special_characters(query)
    column_types = _column_types(url, source_query, query)
    batch_filter.require_columns(list(column_types), time)
    condition = batch_filter.condition(time)
    condition = _escape(split_tokens(condition))
    selected = _subquery(source_query, f"WHERE {condition}" if condition else "")
    type_results = _check_column_types(suite.columns, column_types)
    wrong = {result.column for result in type_results if not result.success}
    results = _run_in_database(url, selected, suite.declared_checks_without(wrong) + suite.user_checks())
    # The first declared check counts the rows.
    n_rows = int(results[0].observed or 0)
    return to_validation_result(n_rows, mask_results([*type_results, *results], suite.columns))


def query_of_table(table: str) -> str:
    """Return the query of all rows of `table`, or `schema.table`."""
    name = ".".join('"' + part.replace('"', '""') + '"' for part in table.split("."))
    return f"SELECT * FROM {name}"  # noqa: S608  an identifier, quoted


def _check_column_types(
    columns: Sequence[Column], column_types: Mapping[str, str | None]
) -> list[CheckResult]:
    """Return whether each declared column is there, and whether it has the declared type."""
    return [
        _check_column_type(column, column_types[column.name])
        if column.name in column_types
        else missing_column_result(column.name)
        for column in columns
    ]


def _check_column_type(column: Column, column_type: str | None) -> CheckResult:
    is_integer_for_number = (column_type, column.dtype) == ("integer", "number")
    success = column_type in (column.dtype, None) or is_integer_for_number
    message = f"{column.name} is no {column.dtype}, its values are of type {column_type}"
    return CheckResult(
        expectation="expect_column_values_to_be_of_type",
        column=column.name,
        severity="critical",
        success=success,
        failed_rows=0,
        examples=(),
        message="" if success else message,
        parameters={"type_": column.dtype},
    )


def _run_in_database(url: URL, query: str, checks: Sequence[ExpectationCheck]) -> list[CheckResult]:
    source = create_context().data_sources.add_postgres(
        "database",
        connection_string=url.render_as_string(hide_password=False),
        create_temp_table=False,
    )
    asset = source.add_query_asset("rows", query=query)
    gx_batch = asset.add_batch_definition_whole_table("all").get_batch()
    with _without_rows_of(query):
        outcomes = validate_gx_batch(
            gx_batch, checks, {"result_format": "BASIC", "partial_unexpected_count": MAX_EXAMPLES}
        )
    return [to_check_result(check, outcome) for check, outcome in zip(checks, outcomes, strict=True)]


@contextmanager
def _without_rows_of(query: str) -> Iterator[None]:
    """Fetch no row of `query` itself, which Great Expectations runs to learn the names of its columns."""

    def add_limit(*call: Any) -> tuple[str, Any]:
        statement = call[2]
        limited = f"{statement} LIMIT 0" if statement.strip() == query.strip() else statement
        return limited, call[3]

    event.listen(Engine, "before_cursor_execute", add_limit, retval=True)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", add_limit)


def _without_special_characters(query: str) -> str:
    """
    Return one SELECT statement of the same meaning without `%` and `:x`, comments and a final semicolon.

    Great Expectations compiles the text of a query more than once: `%` would be doubled, and `:x` would
    become a parameter.

    Raises
    ------
    DataError
        If there is not one statement, or `%` is used as an operator.
    """
    try:
        tokens = single_statement(query)
    except ValueError as error:
        raise DataError(f"The query is refused: {error}. Correct it; it is: {query}") from error
    if any(token.kind == "code" and token.text == "%" for token in tokens):
        raise DataError(f"The query has the operator %: write mod(a, b) for a % b. It is: {query}")
    return _escape(tokens)


def _escape(tokens: Sequence[Token]) -> str:
    parts: list[str] = []
    for number, token in enumerate(tokens):
        following = tokens[number + 1].text if number + 1 < len(tokens) else ""
        if token.kind == "comment":
            parts.append(" ")
        elif token.kind in {"literal", "name"}:
            is_unicode = "".join(parts).upper().endswith("U&")
            parts.append(_escape_quoted(token.text, is_unicode=is_unicode))
        # The colon of a slice, such as `a[2:n]`.
        elif token.text == ":" and following[:1].isalpha():
            parts.append(": ")
        else:
            parts.append(token.text)
    return "".join(parts)


def _escape_quoted(text: str, *, is_unicode: bool) -> str:
    """Return a literal or a quoted name with `%` and `:` as escapes."""
    if "%" not in text and ":" not in text:
        return text
    if text[0] in "eE":
        return _ESCAPED.sub(lambda match: _with_code(match, r"\x{:02X}"), text)
    if is_unicode:
        return _ESCAPED.sub(lambda match: _with_code(match, r"\{:04X}"), text)
    quote = text[0]
    content = text[1:-1]
    if quote == "$":
        quote = "'"
        tag = text[: text.index("$", 1) + 1]
        content = text[len(tag) : -len(tag)].replace("'", "''")
    escaped = content.replace("\\", "\\\\").replace("%", "\\0025").replace(":", "\\003A")
    return f"U&{quote}{escaped}{quote}"


def _with_code(match: re.Match[str], form: str) -> str:
    character = match[1] or match[2]
    return form.format(ord(character)) if character in "%:" else match[0]


def _subquery(query: str, clause: str) -> str:
    return f"SELECT * FROM ({query}) AS source {clause}"  # noqa: S608  the user's own query; values are quoted


def _column_types(url: URL, query: str, declared: str) -> dict[str, str | None]:
    """Return the type of each column of a query as declarations name it; None for an unknown type."""
    engine = create_engine(url, hide_parameters=True)
    try:
        with engine.connect() as connection:
            cursor = connection.execute(text(_subquery(query, "LIMIT 0"))).cursor
            columns: list[Any] = list(cursor.description or ()) if cursor else []
            return {column.name: TYPES.get(column.type_code) for column in columns}
    except OperationalError as error:
        raise ServiceUnavailable(f"{url.host}:{url.port}/{url.database} is away: {error.orig}") from error
    except ProgrammingError as error:
        # Without the line of the statement, which is not the declared one.
        cause: Any = error.orig
        raise DataError(
            f"The query cannot be run: {cause.diag.message_primary}. Correct it; it is: {declared}"
        ) from error
    finally:
        engine.dispose()
