"""HTML pages that people open, such as data docs and drift reports; they are stored below the lake."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from include.errors import DataError
from include.storage import filesystem
from include.storage.errors import translate_storage_errors

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER = "_reports"
_PATH_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.=+-]*")


def write_report(lake_uri: str, storage_options: Mapping[str, str], path: str, html: str) -> str:
    """
    Replace the page at `path`, relative to the reports, and return its address.

    Raises
    ------
    DataError
        If `path` leads out of the reports.
    """
    file = _file_of(path)
    with translate_storage_errors(lake_uri, storage_options):
        filesystem.write_file(filesystem.open_filesystem(lake_uri, storage_options), file, html.encode())
    return f"{lake_uri.rstrip('/')}/{file}"


def read_report(lake_uri: str, storage_options: Mapping[str, str], path: str) -> str:
    """
    Return the page at `path`, relative to the reports.

    Raises
    ------
    DataError
        If there is no such page, or `path` leads out of the reports.
    """
    file = _file_of(path)
    with translate_storage_errors(lake_uri, storage_options):
        files = filesystem.open_filesystem(lake_uri, storage_options)
        if filesystem.find_missing(files, [file]):
            raise DataError(f"There is no report {path}. Run the task that writes it.")
        with files.open_input_stream(file) as stream:
            return str(stream.read().decode())


def has_report(lake_uri: str, storage_options: Mapping[str, str], path: str) -> bool:
    """Return whether there is a page at `path`, relative to the reports."""
    file = _file_of(path)
    with translate_storage_errors(lake_uri, storage_options):
        return not filesystem.find_missing(filesystem.open_filesystem(lake_uri, storage_options), [file])


def _file_of(path: str) -> str:
    if not all(_PATH_PART.fullmatch(part) for part in path.split("/")):
        raise DataError(
            f"{path!r} is no report's path: use letters, digits and _ . = + - between single slashes."
        )
    return f"{FOLDER}/{path}"
