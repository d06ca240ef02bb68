"""Problems of declarations: all of a file at once, each with the field and what is declared in it."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import BaseModel, ValidationError

from include.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)

# Where a part stands: the field, and its position in a tuple.
Position: TypeAlias = tuple[int | str, ...]

_COLLECTED: ContextVar[Collected | None] = ContextVar("collected", default=None)


@dataclass
class Collected:
    """
    Invalid declarations of a file that is being imported.

    `texts` are the problems of each by the identity of the object that stands for it; `objects` has all of
    them, also those whose problems were taken.
    """

    objects: dict[int, BaseModel] = field(default_factory=dict)
    texts: dict[int, list[str]] = field(default_factory=dict)

    def add(self, declared: BaseModel, problems: list[str]) -> None:
        """Note an invalid declaration."""
        self.objects[id(declared)] = declared
        self.texts[id(declared)] = problems

    def take(self, declared: object) -> list[str]:
        """Return and forget the problems of a declaration: those of what it is part of include them."""
        return self.texts.pop(id(declared), [])

    def problems(self) -> list[str]:
        """Return the problems of all declarations that are part of no other."""
        problems = []
        for key, texts in self.texts.items():
            declared = self.objects[key]
            prefix = f"{_title(declared)}: " if _is_part(declared) else ""
            problems += [f"{prefix}{text}" for text in texts]
        return problems


@contextmanager
def collected_problems() -> Iterator[Collected]:
    """
    Collect the problems of all declarations that are made, which then do not raise.

    Raises
    ------
    DeclarationError
        At the end, with all of them. What else is raised follows from them.
    """
    collected = Collected()
    token = _COLLECTED.set(collected)
    try:
        yield collected
    # The file is somebody else's code, which goes on with an invalid declaration.
    except Exception:
        if not collected.texts:
            raise
    finally:
        _COLLECTED.reset(token)
    if collected.texts:
        raise DeclarationError("; ".join(dict.fromkeys(collected.problems())))


class DeclarationType(ModelMetaclass):
    """Type of the classes of declarations: a wrong one is noted while problems are collected."""

    def __call__(cls, *args: Any, **fields: Any) -> Any:
        """Return the declaration or, while problems are collected, what stands for an invalid one."""
        collected = _COLLECTED.get()
        if collected is None:
            return super().__call__(*args, **fields)
        inner = _problems_of_parts(collected, fields)
        model: Any = cls
        try:
            declared = super().__call__(*args, **fields)
        except ValidationError as error:
            own = problems_of(error, fields, model=model, invalid_parts=frozenset(inner))
            declared = model.model_construct(**fields)
            collected.add(declared, _all(inner) + own)
            return declared
        except Exception:
            # A check of the declaration that found no field of an invalid part.
            if not inner:
                raise
            declared = model.model_construct(**fields)
        if inner:
            collected.add(declared, _all(inner))
        return declared


def problems_of(
    error: ValidationError,
    fields: Mapping[str, Any] | None = None,
    *,
    model: type[BaseModel] | None = None,
    invalid_parts: frozenset[Position] = frozenset(),
) -> list[str]:
    """
    Return the problems of a declaration, each with its field.

    Parameters
    ----------
    error
        Error of pydantic.
    fields
        What was declared, for the problems of values of which pydantic names only parts.
    model
        Class of the declaration, for suggestions in place of a field that it does not have.
    invalid_parts
        Places of parts whose problems are known: what pydantic says about them follows from these.
    """
    texts: dict[str, None] = {}
    for problem in error.errors():
        location = problem["loc"]
        value = (fields or {}).get(str(location[0])) if location else None
        # Checks of the whole declaration need valid parts.
        if invalid_parts and (not location or not invalid_parts.isdisjoint({location[:1], location[:2]})):
            continue
        # A declaration is iterated over its fields where a tuple is needed.
        if isinstance(value, BaseModel) and (len(location) > 1 or problem["type"] == "too_short"):
            texts[_missing_comma(str(location[0]), f"{type(value).__name__}(…)")] = None
        elif problem["type"] == "tuple_type" and isinstance(problem["input"], str | BaseModel):
            item = problem["input"]
            shown = repr(item) if isinstance(item, str) else f"{type(item).__name__}(…)"
            texts[_missing_comma(".".join(map(str, location)), shown)] = None
        else:
            text = problem["msg"].removeprefix("Value error, ")
            if problem["type"] == "extra_forbidden" and model:
                text += _suggestion(str(location[-1]), model)
            texts[f"{_field(location) or error.title}: {text}"] = None
    return list(texts)


def _suggestion(name: str, model: type[BaseModel]) -> str:
    """Return a field that was probably meant, or all fields."""
    similar = get_close_matches(name, model.model_fields, n=1)
    return f"; did you mean {similar[0]}?" if similar else f"; there are {', '.join(model.model_fields)}"


def _missing_comma(name: str, shown: str) -> str:
    return f"{name}: {shown} is no tuple; a comma is missing: {name}=({shown},)"


def _field(location: tuple[int | str, ...]) -> str:
    return ".".join(map(str, location))


def _problems_of_parts(collected: Collected, fields: Mapping[str, Any]) -> dict[Position, list[str]]:
    """Return the problems of the declarations in the fields of another, by their place."""
    texts: dict[Position, list[str]] = {}
    # Nearly always: each file of all declarations is read in each process.
    if not collected.objects:
        return texts
    for name, value in fields.items():
        parts = enumerate(value) if isinstance(value, tuple | list) else [(None, value)]
        for position, part in parts:
            path = name if position is None else f"{name}[{position}]"
            own_name = _name(part)
            if id(part) in collected.objects:
                location: Position = (name,) if position is None else (name, position)
                texts[location] = [f"{path}{own_name}: {text}" for text in collected.take(part)]
    return texts


def _all(texts: Mapping[Position, list[str]]) -> list[str]:
    return list(chain.from_iterable(texts.values()))


def _name(declared: object) -> str:
    if not isinstance(declared, BaseModel) or "name" not in declared.model_fields_set:
        return ""
    return f" {declared.name}"  # type: ignore[attr-defined]


def _title(declared: BaseModel) -> str:
    return f"{type(declared).__name__}{_name(declared)}"


def _is_part(declared: BaseModel) -> bool:
    """Return whether a declaration belongs into another: only those of a file have an owner."""
    return "owner" not in type(declared).model_fields
