"""Fields of pydantic classes in the words of their source: type, default, limits, and the types they name."""

from __future__ import annotations

import ast
import re
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

REQUIRED = "required"
DERIVED = "derived"
LIMITS = ("ge", "gt", "le", "lt", "min_length", "max_length", "pattern")


@dataclass(frozen=True, slots=True)
class DeclaredField:
    """A field: its type, default and limits as they are written; `meaning` is the docstring below it."""

    name: str
    type: str
    default: str
    limits: str
    meaning: str


def declared_fields(declaration: Any) -> list[DeclaredField]:
    """Return the fields of a pydantic class, with those that it inherits, in order."""
    written: dict[str, DeclaredField] = {}
    for owner in reversed(declaration.__mro__):
        written |= _fields_of(owner.__module__, owner.__name__)
    return [written[name] for name in declaration.model_fields if name in written]


@cache
def _fields_of(module: str, name: str) -> dict[str, DeclaredField]:
    """Return the annotated assignments in the body of a class; none of a class of a library."""
    body = next(
        (node.body for node in module_body(module) if isinstance(node, ast.ClassDef) and node.name == name),
        [],
    )
    fields = {}
    for statement, following in zip(body, [*body[1:], None], strict=False):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            fields[statement.target.id] = _to_field(statement, _docstring(following))
    return fields


@cache
def module_body(module: str) -> list[ast.stmt]:
    """Return the statements of an imported module of the project; none of another one."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None or not module.startswith("include."):
        return []
    return ast.parse(Path(file).read_text()).body


def _docstring(statement: ast.stmt | None) -> str:
    if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Constant):
        return ""
    return " ".join(str(statement.value.value).split())


def _to_field(statement: ast.AnnAssign, meaning: str) -> DeclaredField:
    name = ast.unparse(statement.target)
    kind = ast.unparse(statement.annotation)
    value = statement.value
    if value is None:
        return DeclaredField(name, kind, REQUIRED, "", meaning)
    if not isinstance(value, ast.Call) or ast.unparse(value.func) != "Field":
        return DeclaredField(name, kind, ast.unparse(value), "", meaning)
    arguments = {str(keyword.arg): ast.unparse(keyword.value) for keyword in value.keywords}
    default = DERIVED if "default_factory" in arguments else arguments.get("default", REQUIRED)
    if value.args:
        default = ast.unparse(value.args[0])
    limits = ", ".join(f"{limit}={arguments[limit]}" for limit in LIMITS if limit in arguments)
    return DeclaredField(name, kind, default, limits, meaning)


def named_types(declaration: Any) -> dict[str, str]:
    """Return the definitions of the aliases that the types of a class name, and of those that they name."""
    pending = []
    for owner in declaration.__mro__:
        fields = _fields_of(owner.__module__, owner.__name__).values()
        pending += [(field.type, owner.__module__) for field in fields]
    definitions: dict[str, str] = {}
    while pending:
        text, module = pending.pop()
        for name in re.findall(r"\b[A-Z]\w+", text):
            source, home = _find_alias(module, name)
            if source and name not in definitions:
                definitions[name] = source
                pending.append((source, home))
    return definitions


@cache
def _find_alias(module: str, name: str) -> tuple[str, str]:
    """Return the definition of an alias and the module that has it; empty texts if it is none of ours."""
    for statement in module_body(module):
        if isinstance(statement, ast.ImportFrom) and any(alias.name == name for alias in statement.names):
            return _find_alias(str(statement.module), name)
        if isinstance(statement, ast.AnnAssign) and ast.unparse(statement.target) == name:
            return ast.unparse(statement.value or statement.annotation), module
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == name:
            return ast.unparse(statement.value), module
    return "", ""
