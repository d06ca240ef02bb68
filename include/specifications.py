"""Specifications of versions: the certified one, or for an older certificate the one that is declared."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from include.catalog import catalog
from include.declarations.specification import Specification
from include.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from include.catalog import Catalog
    from include.declarations import Column, Dataset, FeatureView, UseCase

# Field of a snapshot, and of the snapshot in a certificate.
SPECIFICATION = "specification"

log = logging.getLogger(__name__)


def declared_specification(use_case: UseCase, declared: Catalog | None = None) -> Specification:
    """
    Return the specification of a use case as it is declared today.

    Raises
    ------
    DeclarationError
        If its features do not fit the views.
    """
    declarations = declared or catalog()
    return Specification.of(use_case, declarations.feature_views, declarations.datasets)


def certified_specification(
    snapshot: Mapping[str, Any], use_case: UseCase | None, features: Sequence[str] = ()
) -> Specification:
    """
    Return the specification that a version was trained from.

    A column that is declared personal since then is personal for this version, too.

    Parameters
    ----------
    snapshot
        Snapshot in the certificate of the version. Without a specification, which older certificates lack,
        the use case is taken as it is declared.
    use_case
        The use case as it is declared; None if it is not.
    features
        Features of the version, if they are known: they replace the declared ones of an older certificate.

    Raises
    ------
    DataError
        If the specification cannot be read.
    DeclarationError
        If an older version has features that are not declared any more, or its use case is not.
    """
    content = snapshot.get(SPECIFICATION)
    if content is not None:
        return _with_personal(Specification.read(content), catalog())
    if use_case is None:
        raise DeclarationError("its certificate has no specification, and its use case is not declared")
    log.warning("%s: the certificate has no specification; today's declaration is used.", use_case.name)
    if features:
        use_case = use_case.model_copy(update={"features": tuple(features)})
    return declared_specification(use_case)


def _with_personal(specification: Specification, declared: Catalog) -> Specification:
    """Return the specification where each column is personal that was so, or that is declared so today."""
    selection = specification.selection
    tables: dict[str, Dataset | FeatureView] = {**declared.datasets, **declared.feature_views}
    personal: set[tuple[str, str]] = set()
    for table in (tables[name] for name in selection.tables if name in tables):
        personal |= {(table.name, column.name) for column in table.columns if column.personal}
    if not personal:
        return specification

    def protect(table: str, name: str, column: Column) -> Column:
        return column.model_copy(update={"personal": True}) if (table, name) in personal else column

    protected_views = []
    for view in selection.views:
        columns = tuple(protect(view.name, column.name, column) for column in view.columns)
        protected_views.append(view.model_copy(update={"columns": columns}))
    features = {name: protect(*selection.origins[name], column) for name, column in selection.columns.items()}
    protected = replace(selection, views=tuple(protected_views), columns=features)
    return specification.model_copy(update={"selection": protected})
