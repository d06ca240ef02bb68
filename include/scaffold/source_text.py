"""Python text of declarations, laid out as the formatter of the project does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

LINE_LENGTH = 110
INDENT = 4


@dataclass(frozen=True)
class Raw:
    """Python text that is written as it is."""

    text: str


@dataclass(frozen=True)
class Call:
    """A call with keyword arguments; `comments` stand above the arguments that they are about."""

    name: str
    arguments: dict[str, Any]
    comments: dict[str, str] = field(default_factory=dict)


def assignment(name: str, value: Any) -> str:
    """Return `name = value` as lines."""
    return f"{name} = {layout(value, offset=len(name) + 3)}"


def layout(value: Any, *, indent: int = 0, offset: int = 0, suffix: int = 0) -> str:
    """
    Return the text of a value: in one line if it fits, else with one argument a line.

    Parameters
    ----------
    value
        A `Call`, `Raw`, tuple, dictionary, or a plain value.
    indent
        Blanks before the line.
    offset, suffix
        Length of what is before the text in its line, without the blanks, and of what follows it.
    """
    line = _in_one_line(value)
    if line is not None and indent + offset + len(line) + suffix <= LINE_LENGTH:
        return line
    inner = indent + INDENT
    blanks = " " * inner
    lines: list[str] = []
    for prefix, comment, item in _items(value):
        if comment:
            lines.append(f"{blanks}# {comment}")
        text = layout(item, indent=inner, offset=len(prefix), suffix=1)
        lines.append(f"{blanks}{prefix}{text},")
    opening, closing = _brackets(value)
    return "\n".join([opening, *lines, f"{' ' * indent}{closing}"])


def _brackets(value: Any) -> tuple[str, str]:
    if isinstance(value, Call):
        return f"{value.name}(", ")"
    return ("{", "}") if isinstance(value, dict) else ("(", ")")


def _items(value: Any) -> list[tuple[str, str, Any]]:
    """Return the parts of a value: text before it, comment, and value."""
    if isinstance(value, Call):
        return [(f"{name}=", value.comments.get(name, ""), item) for name, item in value.arguments.items()]
    if isinstance(value, dict):
        return [(f"{_literal_value(key)}: ", "", item) for key, item in value.items()]
    if isinstance(value, tuple):
        return [("", "", item) for item in value]
    raise ValueError(f"{value!r} does not fit into a line")


def _in_one_line(value: Any) -> str | None:
    """Return the text in one line; None if it has comments."""
    if isinstance(value, Call) and value.comments:
        return None
    if not isinstance(value, Call | dict | tuple):
        return _literal_value(value)
    parts: list[str] = []
    for prefix, _, item in _items(value):
        text = _in_one_line(item)
        if text is None:
            return None
        parts.append(prefix + text)
    opening, closing = _brackets(value)
    comma = "," if isinstance(value, tuple) and len(parts) == 1 else ""
    return f"{opening}{', '.join(parts)}{comma}{closing}"


def _literal_value(value: Any) -> str:
    if isinstance(value, Raw):
        return value.text
    if not isinstance(value, str):
        return repr(value)
    text = repr(value)
    # repr() chooses single quotes, the formatter double ones.
    return text if '"' in value else f'"{text[1:-1]}"'.replace("\\'", "'")
