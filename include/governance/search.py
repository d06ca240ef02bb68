"""Search in the declarations: names, descriptions, owners, tags and columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from include.declarations import Column, Dataset, FeatureView, UseCase


@dataclass(frozen=True, slots=True)
class Match:
    """A text that contains a searched word: whose it is, where it stands, and the text."""

    name: str
    field: str
    text: str


def search_declarations(declarations: Iterable[Dataset | FeatureView | UseCase], query: str) -> list[Match]:
    """Return the texts with a word of `query`, in any case, of the declarations that contain all words."""
    words = query.casefold().split()
    matches = []
    for declaration in declarations:
        texts = list(_texts(declaration))
        everything = "\n".join(text for _, text in texts).casefold()
        if not all(word in everything for word in words):
            continue
        for field, text in texts:
            if any(word in text.casefold() for word in words):
                matches.append(Match(declaration.name, field, text))
    return matches


def _texts(declaration: Dataset | FeatureView | UseCase) -> Iterator[tuple[str, str]]:
    yield "name", declaration.name
    yield "description", declaration.description
    yield "owner", declaration.owner
    for tag in declaration.tags:
        yield "tag", tag
    columns: Iterable[Column] = getattr(declaration, "columns", ())
    for column in columns:
        described = f"{column.name}: {column.description}" if column.description else column.name
        yield "column", described
    features: Iterable[str] = getattr(declaration, "features", ())
    for feature in features:
        if isinstance(feature, str):
            yield "feature", feature
