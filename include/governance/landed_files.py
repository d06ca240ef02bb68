"""Landed files that still contain an entity: an erasure does not change what others send."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from include.data.lake.erasure import Entity, holds
from include.data.lake.spellings import MAX_LETTER_BYTES, spelling_pattern
from include.data.sources.files import read_chunks
from include.data.sources.formats import Unreadable
from include.declarations import FileSource
from include.declarations.data.file_formats import PARTITION
from include.storage import filesystem
from include.storage.errors import translate_storage_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pyarrow.fs import FileSystem

    from include.data.sources.files import Landing
    from include.declarations import Dataset

# Bytes of letters, also of those that have several in UTF-8.
_LETTER = rb"[\w\x80-\xff]"
# A letter before a word may be the end of a short escape of JSON.
_WORD_BEGIN = rb"(?:(?<!" + _LETTER + rb")|(?<=\\[bfnrt]))"


def find_landed_files(landing: Landing, datasets: Iterable[Dataset], entity: Entity) -> Iterator[str]:
    """
    Yield the landed files that contain an entity, or that cannot be searched, of datasets with its column.

    A text file contains it if its value occurs as a word, in whatever column.
    """
    for dataset in datasets:
        source = dataset.source
        if not isinstance(source, FileSource) or not _declares(dataset, entity.column):
            continue
        with translate_storage_errors(landing.uri, landing.storage_options, landing.connection):
            files = filesystem.open_filesystem(landing.uri, landing.storage_options)
            for path in _landed_paths(files, source.path):
                try:
                    is_in_file = _file_contains(files, path, source, entity, landing.max_bytes)
                except (Unreadable, OSError, ValueError) as error:
                    yield f"{landing.uri.rstrip('/')}/{path} (cannot be searched: {error})"
                    continue
                if is_in_file:
                    yield f"{landing.uri.rstrip('/')}/{path}"


def _declares(dataset: Dataset, name: str) -> bool:
    return any(column.name == name for column in dataset.columns)


def _landed_paths(files: FileSystem, pattern: str) -> list[str]:
    """Return the files below the landing folder with the path of a partition, ascending."""
    if PARTITION not in pattern:
        return [] if filesystem.find_missing(files, [pattern]) else [pattern]
    from pyarrow.fs import FileSelector, FileType

    folder = pattern.partition(PARTITION)[0].rpartition("/")[0]
    infos = files.get_file_info(FileSelector(folder, allow_not_found=True, recursive=True))
    parts = [re.escape(part) for part in pattern.split(PARTITION)]
    expected = re.compile(r"[0-9T-]+".join(parts))
    return sorted(info.path for info in infos if info.type == FileType.File and expected.fullmatch(info.path))


def _file_contains(files: FileSystem, path: str, source: FileSource, entity: Entity, max_bytes: int) -> bool:
    if source.format == "parquet":
        in_file = {column: name for name, column in source.rename.items()}
        return holds(files, path, Entity(in_file.get(entity.column, entity.column), entity.value))
    spelled = spelling_pattern(entity.value, f"\\{source.escape or ''}").encode()
    word = re.compile(_WORD_BEGIN + spelled + rb"(?!" + _LETTER + rb")")
    # A word with what is looked at before and after it lies within two chunks.
    overlap = MAX_LETTER_BYTES * len(entity.value) + 3
    with files.open_input_stream(path, compression=None) as stream:
        before = b"\n"
        for chunk in read_chunks(stream, max_bytes, gzip=path.endswith(".gz")):
            text = before + chunk
            # What ends with the chunk is searched again with the next one.
            if any(match.end() < len(text) for match in word.finditer(text, 1)):
                return True
            before = text[-overlap:]
    return word.search(before + b"\n", 1) is not None
