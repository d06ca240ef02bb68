"""Parts of an SQL query: code, literals, names, comments, and the bind parameters `:start` and `:end`."""

from __future__ import annotations

import re
from itertools import dropwhile
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

Kind: TypeAlias = Literal["code", "space", "literal", "name", "comment", "parameter", "semicolon"]
# In MySQL a backslash escapes a quote, `"` may quote text, `#` begins a comment, `--` needs a space.
Rules: TypeAlias = Literal["standard", "mysql"]

RULES: tuple[Rules, ...] = ("standard", "mysql")
PARAMETERS = ("start", "end")
_MAX_COMMENT_DEPTH = 8


class Token(NamedTuple):
    """A part of a query; the texts of all tokens are the query."""

    kind: Kind
    text: str


def _nested_comment(depth: int) -> str:
    inner = rf"|{_nested_comment(depth - 1)}" if depth > 1 else ""
    return rf"/\*(?:[^*/]|\*(?!/)|/(?!\*){inner})*(?:\*/|\Z)"


def _pattern(comment: str, literal: str, name: str) -> re.Pattern[str]:
    # The first alternative that matches counts; a literal that never ends goes to the end of the query.
    alternatives = {
        "comment": comment,
        "literal": literal,
        "name": rf"`(?:[^`]|``)*(?:`|\Z){name}",
        # A colon after a word is that of a slice, as in `a[n:end]`.
        "parameter": rf"(?<![:\w]):(?:{'|'.join(PARAMETERS)})\b",
        "semicolon": ";",
        "space": r"\s+",
        "code": r"::|[^\W\d]\w*|.",
    }
    return re.compile("|".join(f"(?P<{kind}>{text})" for kind, text in alternatives.items()), re.DOTALL)


# By hand, since sqlparse, the library in the lock, knows neither dollar quotes nor nested comments, and
# takes a backslash for an escape in every dialect.
_PATTERNS: dict[Rules, re.Pattern[str]] = {
    "standard": _pattern(
        comment=rf"--[^\n]*|{_nested_comment(_MAX_COMMENT_DEPTH)}",
        literal=r"(?<!\w)[eE]'(?:[^'\\]|''|\\.)*(?:'|\Z)|'(?:[^']|'')*(?:'|\Z)"
        r"|(?<![\w$])\$(?P<tag>[^\W\d]\w*|)\$.*?(?:\$(?P=tag)\$|\Z)",
        name=r'|"(?:[^"]|"")*(?:"|\Z)',
    ),
    "mysql": _pattern(
        comment=r"#[^\n]*|--(?=\s|\Z)[^\n]*|/\*.*?(?:\*/|\Z)",
        literal=r"""'(?:[^'\\]|''|\\.)*(?:'|\Z)|"(?:[^"\\]|""|\\.)*(?:"|\Z)""",
        name="",
    ),
}


def split_tokens(query: str, rules: Rules = "standard") -> list[Token]:
    """Return the tokens of a query by the rules of its database."""
    matches = _PATTERNS[rules].finditer(query)
    return [Token(match.lastgroup, match[0]) for match in matches]  # type: ignore[arg-type]


def single_statement(query: str, rules: Rules = "standard") -> list[Token]:
    """
    Return the tokens of a query without trailing semicolons, comments and spaces.

    Raises
    ------
    ValueError
        If there is no statement, or more than one.
    """
    statements: list[list[Token]] = [[]]
    for token in split_tokens(query, rules):
        if token.kind == "semicolon":
            statements.append([])
        else:
            statements[-1].append(token)
    existing = [statement for statement in map(_without_trailing_space, statements) if statement]
    if len(existing) != 1:
        raise ValueError(f"there are {len(existing)} statements, where one SELECT is expected")
    return existing[0]


def parameters(tokens: Iterable[Token]) -> set[str]:
    """Return the names of the bind parameters."""
    return {token.text[1:] for token in tokens if token.kind == "parameter"}


def to_text(tokens: Iterable[Token]) -> str:
    """Return the text of tokens."""
    return "".join(token.text for token in tokens)


def _without_trailing_space(tokens: list[Token]) -> list[Token]:
    reversed_rest = dropwhile(lambda token: token.kind in {"space", "comment"}, reversed(tokens))
    return list(reversed_rest)[::-1]
