"""Objects that a declaration names by import path, such as `include.my.source:Source`."""

from __future__ import annotations

from importlib import import_module
from inspect import getattr_static, isclass, signature
from typing import TYPE_CHECKING, Any

from include.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def import_class(path: str, field: str) -> type[Any]:
    """
    Return the class that `path` names.

    Parameters
    ----------
    path
        `package.module:Class`.
    field
        Field of the declaration, for messages.

    Raises
    ------
    DeclarationError
        If the module cannot be imported, or has no such class.
    """
    named = _import_named(path, field)
    if not isclass(named):
        module_name, _, name = path.partition(":")
        raise DeclarationError(f"{field}: {module_name} has no class {name}")
    return named


def import_function(path: str, field: str) -> Callable[..., Any]:
    """
    Return the function that `path` names, as `package.module:function`.

    Raises
    ------
    DeclarationError
        If the module cannot be imported, or has no such function.
    """
    named = _import_named(path, field)
    if isclass(named) or not callable(named):
        module_name, _, name = path.partition(":")
        raise DeclarationError(f"{field}: {module_name} has no function {name}")
    return named  # type: ignore[no-any-return]


def _import_named(path: str, field: str) -> Any:
    module_name, _, name = path.partition(":")
    try:
        module = import_module(module_name)
    # The module is somebody else's code.
    except (Exception, SystemExit) as error:
        raise DeclarationError(
            f"{field}: {module_name} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    return getattr(module, name, None)


def require_parameters(function: Callable[..., Any], parameters: tuple[str, ...], field: str) -> None:
    """Raise DeclarationError unless the function can be called with these positional arguments."""
    try:
        signature(function).bind(*parameters)
    except TypeError as error:
        name = getattr(function, "__name__", "it")
        raise DeclarationError(
            f"{field}: {name} cannot be called as {name}({', '.join(parameters)}): {error}"
        ) from error


def require_constructor(named: type[Any], options: Mapping[str, Any], field: str) -> None:
    """Raise DeclarationError unless the class can be called with these keyword arguments."""
    try:
        signature(named).bind(**options)
    except TypeError as error:
        raise DeclarationError(
            f"{field}: {named.__name__}({', '.join(options)}) cannot be called: {error}"
        ) from error


def require_method(named: type[Any], method: str, parameters: tuple[str, ...], field: str) -> None:
    """Raise DeclarationError unless the class has a method with these positional parameters."""
    function = getattr(named, method, None)
    expected = f"{method}({', '.join(parameters)})"
    if not callable(function):
        raise DeclarationError(f"{field}: {named.__name__} has no method {expected}")
    is_bound = isinstance(getattr_static(named, method), staticmethod | classmethod)
    arguments = parameters if is_bound else ("self", *parameters)
    try:
        signature(function).bind(*arguments)
    except TypeError as error:
        raise DeclarationError(
            f"{field}: {named.__name__}.{method} cannot be called as {expected}: {error}"
        ) from error
