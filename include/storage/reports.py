"""The pages that people open: data docs and drift reports, below the lake."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from include.errors import DataError
from include.storage import filesystem
from include.storage.errors import translate_storage_errors

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER = "_reports"
_STEP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.=+-]*")


def write_report(lake_uri: str, storage_options: Mapping[str, str], path: str, html: str) -> str:
    """Write a page, in place of the one that was there, and return its address."""
    place = _place(path)
    with translate_storage_errors(lake_uri, storage_options):
        filesystem.write_file(filesystem.open_filesystem(lake_uri, storage_options), place, html.encode())
    return f"{lake_uri.rstrip('/')}/{place}"


def read_report(lake_uri: str, storage_options: Mapping[str, str], path: str) -> str:
    """
    Return a page.

    :raises DataError: if there is none at `path`, or `path` leads out of the reports
    """
    place = _place(path)
    with translate_storage_errors(lake_uri, storage_options):
        files = filesystem.open_filesystem(lake_uri, storage_options)
        if filesystem.find_missing(files, [place]):
            raise DataError(f"There is no report {path}. Run the task that writes it.")
        with files.open_input_stream(place) as stream:
            return str(stream.read().decode())


def _place(path: str) -> str:
    if not all(_STEP.fullmatch(step) for step in path.split("/")):
        raise DataError(
            f"{path!r} is no report's path: use letters, digits and _ . = + - between single slashes."
        )
    return f"{FOLDER}/{path}"
